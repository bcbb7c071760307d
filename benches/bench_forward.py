"""Forward dropout of float32: cydropout beside NumPy, PyTorch and the scale copy, interleaved.

    python benches/bench_forward.py [--size N] [--rounds N] [--threads N] [--output FILE]

Every contender lives in a process of its own, since idle workers of one OpenMP runtime hold the
cores that the next one wants. They take turns, round by round, so that noise meets all alike; a
round is the fastest of a few runs in a row, a figure the median over rounds. Each result is checked
(rate, scale, zeros) before its time counts.
"""

import argparse
import importlib.util
import multiprocessing
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

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


def machine():
    """Return the name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def table(times, rate, options):
    """Return the medians as Markdown, the fastest first."""
    ours = statistics.median(times["cydropout"])
    lines = [
        f"### rate {rate}, {options.size} elements of float32, {options.threads} threads",
        "",
        "| contender | ns/element, median | 10 to 90 % | to cydropout |",
        "|---|---|---|---|",
    ]
    for name, found in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        median = statistics.median(found)
        low, high = np.percentile(found, [10, 90]) / options.size * 1e9
        lines.append(f"| {name.replace('_', ' ')} | {median / options.size * 1e9:.3f} "
                     f"| {low:.3f} to {high:.3f} | {median / ours:.2f} |")
    return "\n".join(lines)


def main():
    from cydropout import get_num_threads, show_config

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2**20)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=get_num_threads())
    parser.add_argument("--output", type=Path, help="a Markdown file for the tables")
    options = parser.parse_args()
    contenders = [cydropout, numpy, numpy_scale_copy]
    if importlib.util.find_spec("torch"):
        contenders += [torch, torch_scale_copy]
    config = show_config("dicts")
    versions = [
        f"{name} {version(name)}" for name in ("numpy", "torch") if importlib.util.find_spec(name)
    ]
    report = [
        "# Forward dropout",
        f"{machine()}; cydropout {config['version']}, build {config['build']}; "
        f"Python {config['python']}, {', '.join(versions)}. "
        f"Made by `python benches/{Path(__file__).name}`; lower is faster.",
    ]
    print(*report, sep="\n\n")
    for rate in RATES:
        times = race(contenders, options.size, rate, options.threads, options.rounds)
        report.append(table(times, rate, options))
        print(f"\n{report[-1]}", flush=True)
    if options.output:
        options.output.write_text("\n\n".join(report) + "\n")


if __name__ == "__main__":
    main()
