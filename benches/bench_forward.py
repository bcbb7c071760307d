"""Forward dropout of float32: cydropout beside NumPy, PyTorch and the scale copy, interleaved.

    python benches/bench_forward.py [--size N] [--rounds N] [--threads N]

Every contender lives in a process of its own, since idle workers of one OpenMP runtime hold the
cores that the next one wants. They take turns, round by round, so that noise meets all alike; a
round is the fastest of a few runs in a row, a figure the median over rounds. Each result is checked
(rate, scale, zeros) before its time counts.
"""

import argparse
import importlib.util
import multiprocessing
import statistics
import time

import numpy as np

RATES = (0.5, 0.1)
RUNS = 5  # in a row
REST = 0.01  # seconds for the last contender's threads to fall asleep


def cydropout(x, y, rate, threads):
    from cydropout import MaskStream, dropout

    stream = MaskStream(0)
    return lambda: dropout(x, rate, rng=stream, out=y, num_threads=threads)


def numpy(x, y, rate, threads):
    rng, keep = np.random.default_rng(0), 1 - rate
    return lambda: x * (rng.random(x.shape, dtype="f4") < keep) / np.float32(keep)


def torch(x, y, rate, threads):
    import torch

    torch.set_num_threads(threads)
    tensor = torch.from_numpy(x)
    return lambda: torch.nn.functional.dropout(tensor, rate)


def torch_scale_copy(x, y, rate, threads):
    import torch

    torch.set_num_threads(threads)
    tensor, out = torch.from_numpy(x), torch.from_numpy(y)
    return lambda: torch.mul(tensor, 2.0, out=out)


def numpy_scale_copy(x, y, rate, threads):
    return lambda: np.multiply(x, np.float32(2), out=y)


def check(y, rate, what):
    """Raise unless y is dropout of ones: zeros at the rate, the scale elsewhere."""
    y = np.asarray(y)
    kept = y[y != 0]
    bound = 6 * np.sqrt(rate * (1 - rate) / y.size)
    if abs(1 - kept.size / y.size - rate) > bound or not np.allclose(kept, 1 / (1 - rate)):
        raise AssertionError(f"{what} does not compute dropout at rate {rate}")


def serve(contender, size, rate, threads, pipe):
    """Time the contender once for every message, until the message is false."""
    x, y = np.ones(size, "f4"), np.empty(size, "f4")
    run = contender(x, y, rate, threads)
    result = run()
    if "copy" not in contender.__name__:
        check(result, rate, contender.__name__)
    while pipe.recv():
        times = []
        for _ in range(RUNS):
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
        pipe.send(min(times))


def race(contenders, size, rate, threads, rounds):
    """Return the times of each contender, one a round."""
    context, pipes = multiprocessing.get_context("spawn"), {}
    for contender in contenders:
        pipes[contender.__name__], end = context.Pipe()
        context.Process(
            target=serve, args=(contender, size, rate, threads, end), daemon=True
        ).start()
    times = {name: [] for name in pipes}
    for _ in range(rounds):
        for name, pipe in pipes.items():
            time.sleep(REST)
            pipe.send(True)
            times[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    return times


def main():
    from cydropout import get_num_threads, show_config

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2**20)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=get_num_threads())
    options = parser.parse_args()
    contenders = [cydropout, numpy, numpy_scale_copy]
    if importlib.util.find_spec("torch"):
        contenders += [torch, torch_scale_copy]
    show_config()
    for rate in RATES:
        times = race(contenders, options.size, rate, options.threads, options.rounds)
        ours = statistics.median(times["cydropout"])
        print(f"\nrate {rate}, {options.size} elements of float32, {options.threads} threads")
        for name, found in sorted(times.items(), key=lambda item: statistics.median(item[1])):
            median = statistics.median(found)
            low, high = np.percentile(found, [10, 90]) / options.size * 1e9
            print(f"  {name.replace('_', ' '):18}{median / options.size * 1e9:8.3f} ns/element "
                  f"({low:.3f} to {high:.3f}){median / ours:9.2f} x cydropout")


if __name__ == "__main__":
    main()
