"""The command ``cydropout``: train with and without dropout, and show the configuration."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from cydropout import functional, layers
from cydropout._bench import race
from cydropout._bench.contender import CONTENDERS
from cydropout._files.replace import expanded
from cydropout._machine import cpu_name, memory
from cydropout._optional import blas_threads, require
from cydropout._text import show
from cydropout._validate import check_integer, check_number
from cydropout.training import optimizers
from cydropout.training._parallel import end_all
from cydropout.training.data import Dataset, load_digits, load_mnist
from cydropout.training.history import History, figure_of, plot_histories
from cydropout.training.trainer import Trainer

PICTURE, BENCH_PICTURE = "cydropout-train.png", "cydropout-bench.png"
T = TypeVar("T")


class UsageError(ValueError):
    """Something the user can put right on the command line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it in one line: the usage text above it would only bury the message."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")

    def print_help(self, file: Any = None) -> None:
        """Print it, or raise where argparse would say nothing: the disk is full."""
        show(self.format_help().rstrip())
        _flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 (it failed), 2 (wrong options) or 130."""
    command = "--help"
    try:
        options = _parser().parse_args(arguments)
        command = options.command
        options.run(options)
        _flush()
    except (UsageError, ImportError, ArithmeticError, MemoryError, OSError) as error:
        return _fail(command, error, error)
    except KeyboardInterrupt as error:
        return _fail(command, error, "interrupted")
    return 0


def _fail(command: str, error: BaseException, said: object) -> int:
    text = " ".join(str(said).split()) or type(error).__name__
    show(f"cydropout {command}: error: {text}", sys.stderr)
    return _code(error)


def _code(error: BaseException) -> int:
    if isinstance(error, UsageError):
        return 2
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def _flush() -> None:
    """Bring the output out now, where its reader is gone or the disk full: not at exit."""
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError:
            with contextlib.suppress(OSError):
                sys.stdout.close()
            raise


def _checked(
    check: Callable[..., T], kind: type, interval: str, wanted: str
) -> Callable[[str], T]:
    """Return what turns the text of an option into a number of the interval."""
    def parse(text: str) -> T:
        try:
            return check("it", kind(text), interval)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None

    return parse


def _count(most: int) -> Callable[[str], int]:
    return _checked(check_integer, int, f"[1, {most}]", f"a whole number from 1 to {most}")


_whole = _count(2**31 - 1)
_seed = _checked(check_integer, int, "[0, inf)", "a whole number of at least 0")
_rate = _checked(check_number, float, "[0, 1]", "a rate between 0 and 1")
_positive = _checked(check_number, float, "(0, inf)", "a positive number")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="cydropout", description="Dropout that costs next to nothing on a CPU.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{train,info,bench}")

    train = commands.add_parser(
        "train", help="train one network without and with dropout, and draw both learning curves"
    )
    train.set_defaults(run=_train)

    def add(option: str, meaning: str, default: Any = None, shown: str = "", **how: Any) -> None:
        shown = shown or str(default)
        train.add_argument(option, help=f"{meaning} (default: {shown})", default=default, **how)

    add("--data", "what to learn", "digits", choices=("digits", "mnist", "fashion"))
    add("--directory", "where the files of mnist or fashion are", shown="download them", type=Path)
    # So many samples, wrong labels, units and epochs that dropout helps the most, measured in its
    # standard errors on the part of the training data that is left over. With right labels alone
    # these digits are too easy to see a difference.
    add("--samples", "training samples, drawn anew for each seed", 300, type=_whole, metavar="N")
    add("--wrong-labels", "share of them whose label is wrong", 0.2, type=_rate, metavar="P")
    add("--hidden", "hidden units", [256, 256], "256 256", type=_count(2**16), nargs="+",
        metavar="N")
    add("--rate", "one, or one per hidden layer", [0.5], "0.5", type=_rate, nargs="+", metavar="P")
    add("--epochs", "passes over the data", 40, type=_whole, metavar="N")
    add("--batch-size", "samples in a step", 32, type=_whole, metavar="N")
    add("--optimizer", "how to step", "adam", choices=tuple(optimizers.NAMES))
    add("--learning-rate", "size of a step", shown="the optimizer's", type=_positive, metavar="X")
    add("--max-norm", "bound of each hidden unit's weights", shown="none", type=_positive,
        metavar="C")
    add("--seed", "the first: of samples, weights, order and masks", 0, type=_seed, metavar="N")
    add("--runs", "how many seeds", 5, type=_count(1000), metavar="N")
    # One: on networks this small, threads wait for each other longer than they work.
    add("--threads", "of the matrix products", 1, type=_count(os.cpu_count() or 1), metavar="N")
    add("--mpi", "train with all processes of mpiexec, each with its --threads", False, "alone",
        action="store_true")
    add("--output", f"where {PICTURE} goes", Path("."), type=Path, metavar="DIR")

    info = commands.add_parser("info", help="show the build, the instruction sets, the threads")
    info.set_defaults(run=_info)

    bench = commands.add_parser(
        "bench", help="time dropout here, beside the libraries that are installed: 20 seconds"
    )
    bench.set_defaults(run=_bench)
    bench.add_argument("--rate", type=_rate, default=0.5, metavar="P",
                       help="of dropout (default: 0.5)")
    bench.add_argument("--threads", type=_count(os.cpu_count() or 1), metavar="N",
                       help="of each library (default: as many as cydropout takes)")
    bench.add_argument("--output", type=Path, default=Path("."), metavar="DIR",
                       help=f"where {BENCH_PICTURE} goes (default: .)")
    return parser


def _info(options: argparse.Namespace) -> None:
    functional.show_config()


def _bench(options: argparse.Namespace) -> None:
    if options.rate in (0, 1):
        raise UsageError("argument --rate: at 0 and 1 nothing is drawn; give one between")
    picture = _writable(options.output / BENCH_PICTURE)
    threads = options.threads or functional.get_num_threads()
    config = functional.show_config("dicts") or {}
    with race.started(threads) as (processes, versions):
        found = ", ".join(f"{name} {number}" for name, number in versions.items())
        missing = ", ".join(name for name in CONTENDERS if name not in versions)
        title = f"{cpu_name()}, build {config['build']}, threads: {threads}"
        show(f"{title}\n{found}{missing and f'; not installed: {missing}'}\n")
        show(f"dropout of float32, rate {options.rate:g}, drawn and applied; in brackets over the "
             "fastest scale copy\n")
        times = race.race(processes, options.rate)
    show(race.table(times))
    try:
        race.draw(times, picture, title)
    except ImportError as error:
        show(f"\nno picture: {error}")
    else:
        show(f"\npicture: {picture}")


def _processes() -> Any:
    """Return the communicator of all processes that ``mpiexec`` has started."""
    try:
        return require("mpi4py.MPI", "mpi").COMM_WORLD
    except RuntimeError as error:
        raise ImportError(
            "this needs MPI, of which mpi4py finds no library; "
            "install one with: pip install 'cydropout[mpi]'"
        ) from error


def _train(options: argparse.Namespace) -> None:
    comm = _processes() if options.mpi else None
    picture, data, rates = _agreed(options, comm)
    cases = {"without dropout": [0.0] * len(rates), "with dropout": rates}
    runs: dict[str, list[Run]] = {label: [] for label in cases}
    with blas_threads(options.threads), _ending_all(comm):
        for seed in range(options.seed, options.seed + options.runs):
            for label, case in cases.items():
                told = f"{label:<15}, seed {seed}"
                runs[label].append(_run(options, data, case, seed, told, comm))
    if comm is not None and comm.rank:
        return

    sizes = "-".join(map(str, [data.x_train[0].size, *options.hidden, 10]))
    shown = ", ".join(f"{rate:g}" for rate in options.rate)
    title = (
        f"{options.data}, {options.samples} samples, {options.wrong_labels:.0%} of their labels "
        f"wrong, {sizes}, {options.optimizer}, dropout {shown}"
    )
    if comm is not None:
        title += f", processes: {comm.size}"
    show(f"\n{title}, {options.epochs} epochs, seeds {options.seed} to {seed}\n")
    show(f"{'':<16}{'train accuracy':>16}{'test accuracy':>16}{'spread':>9}{'seconds':>10}")
    for label, these in runs.items():
        train, test, seconds = np.mean([run[1:] for run in these], axis=0)
        spread = np.std([run[2] for run in these], ddof=1) if len(these) > 1 else 0.0
        show(f"{label:<16}{train:>16.2%}{test:>16.2%}{spread:>9.2%}{seconds:>10.1f}")
    without, with_ = (np.array([run[2] for run in these]) for these in runs.values())
    show(f"\n{_verdict(100 * (with_ - without))}")
    plot_histories(
        {label: _mean([run[0] for run in these]) for label, these in runs.items()},
        picture, title=title,
    )
    show(f"\nlearning curves: {picture}")


@contextlib.contextmanager
def _ending_all(comm: Any) -> Iterator[None]:
    """Have an error of one process end the others too, after its message: they would wait."""
    try:
        yield
    except BaseException as error:
        if comm is not None and comm.size > 1:
            end_all(comm, _fail("train", error, error))
        raise


def _agreed(options: argparse.Namespace, comm: Any) -> tuple[Path, Dataset, Sequence[float]]:
    """Have the first process check and load; its error ends all, and it alone tells it."""
    if comm is None:
        return _prepared(options, 1)
    found: Any = None
    if comm.rank == 0:
        try:
            found = _prepared(options, comm.size)
        except BaseException as error:
            comm.bcast(_code(error))
            raise
    found = comm.bcast(found)
    if isinstance(found, int):
        raise SystemExit(found)
    picture, data, rates = found
    return picture, data, rates


def _prepared(
    options: argparse.Namespace, processes: int
) -> tuple[Path, Dataset, Sequence[float]]:
    """Return where the picture goes, the data and the rates, or raise before a step is taken."""
    rates = options.rate * len(options.hidden) if len(options.rate) == 1 else options.rate
    if len(rates) != len(options.hidden):
        raise UsageError(
            f"argument --rate: got {len(rates)} rates for {len(options.hidden)} hidden layers; "
            "give one, or one per layer"
        )
    if options.directory is not None and options.data == "digits":
        raise UsageError("argument --directory: the digits need none; it goes with --data mnist")
    least = min(options.samples % options.batch_size or options.batch_size, options.samples)
    if least < processes:
        raise UsageError(
            f"argument --batch-size: a batch has {least} samples for {processes} processes"
        )
    picture = _writable(options.output / PICTURE)
    figure_of(1)  # without matplotlib it fails here, not after the training
    data = _load(options.data, options.directory)
    if options.samples > len(data.x_train):
        raise UsageError(f"argument --samples: {options.samples} of {len(data.x_train)}")
    _check_memory(options, data.x_train[0].size)
    return picture, data, rates


def _check_memory(options: argparse.Namespace, inputs: int) -> None:
    """Raise if the network's weights, their gradients and the optimizer's states have no room."""
    sizes = [inputs, *options.hidden, 10]
    weights = sum((above + 1) * below for above, below in pairwise(sizes))
    kept = 2 + len(optimizers.get(options.optimizer).slots)
    needed, there = 4 * kept * weights, memory()
    if needed > there:
        raise UsageError(
            f"argument --hidden: {weights:,} weights need {needed / 2**30:.1f} GiB with "
            f"{options.optimizer}, but there are {there / 2**30:.1f} GiB of memory"
        )


def _verdict(gains: Any) -> str:
    """Say whether dropout helped: whether the mean gain is beyond two standard errors."""
    gain = f"{gains.mean():+.2f} points of test accuracy"
    if len(gains) == 1:
        return f"dropout: {gain}; one seed does not say whether that is chance: --runs 5 does"
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    word = "makes no clear difference" if abs(gains.mean()) <= 2 * error else (
        "helps" if gains.mean() > 0 else "does not help, it harms"
    )
    return f"dropout {word} here: {gain}, standard error {error:.2f}, over {len(gains)} seeds"


#: History, accuracy on the training and on the test part, and seconds.
Run = tuple[History, float, float, float]


def _run(
    options: argparse.Namespace, data: Dataset, rates: Sequence[float], seed: int, label: str,
    comm: Any,
) -> Run:
    """Train on the samples that the seed draws."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(data.x_train))[: options.samples]
    x, y = data.x_train[chosen], data.y_train[chosen]
    wrong = round(options.wrong_labels * len(y))
    y[:wrong] = (y[:wrong] + rng.integers(1, 10, wrong)) % 10
    trainer = Trainer(
        _network(data, options.hidden, rates, options.max_norm),
        "softmax_cross_entropy",
        optimizers.get(options.optimizer, options.learning_rate),
        rng=seed,
        num_threads=options.threads,
        comm=comm,
    )
    started = time.perf_counter()
    history = trainer.fit(
        x, y, epochs=options.epochs, batch_size=options.batch_size,
        validation_data=(data.x_test, data.y_test), progress=label,
    )
    seconds = time.perf_counter() - started
    train = trainer.evaluate(x, y)["accuracy"]
    return history, train, history["val_accuracy"][-1], seconds


def _mean(histories: Sequence[History]) -> History:
    """Return the means of each epoch."""
    return History(
        {name: float(np.mean([record[name] for record in records])) for name in records[0]}
        for records in zip(*histories, strict=True)
    )


def _network(
    data: Dataset, hidden: Sequence[int], rates: Sequence[float], max_norm: float | None
) -> Any:
    stack: list[layers.Layer] = [layers.Flatten(*data.x_train.shape[1:])]
    for units, rate in zip(hidden, rates, strict=True):
        stack += [layers.Dense(units, activation="relu", init="he", max_norm=max_norm)]
        stack += [layers.Dropout(rate)] if rate else []
    return layers.Sequential([*stack, layers.Dense(10)])


def _load(name: str, directory: Path | None) -> Dataset:
    if name == "digits":
        return load_digits()
    try:
        return load_mnist(directory, "fashion" if name == "fashion" else "mnist")
    except (OSError, ValueError) as error:
        if directory is None:
            raise OSError(error) from error
        raise UsageError(f"argument --directory: {error}") from error


def _writable(picture: Path) -> Path:
    """Create the directory and see that the file can be written, before the training."""
    try:
        picture = expanded(picture)
        picture.parent.mkdir(parents=True, exist_ok=True)
        with picture.open("ab") if picture.exists() else tempfile.TemporaryFile(dir=picture.parent):
            return picture
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"argument --output: cannot write {picture}: {reason}") from error
