"""The command ``cydropout``: train with and without dropout, and show the configuration."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from cydropout import functional, layers
from cydropout._optional import blas_threads
from cydropout._validate import check_integer, check_number
from cydropout.training import optimizers
from cydropout.training.data import Dataset, load_digits, load_mnist
from cydropout.training.history import History, plot_histories
from cydropout.training.trainer import Trainer

PICTURE = "cydropout-train.png"
T = TypeVar("T")


class UsageError(ValueError):
    """Something the user can put right on the command line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it in one line: the usage text above it would only bury the message."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 (it failed), 2 (wrong options) or 130."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except UsageError as error:
        return _fail(options.command, error, 2)
    except (ImportError, ArithmeticError, MemoryError, OSError) as error:
        return _fail(options.command, error, 1)
    except KeyboardInterrupt:
        return _fail(options.command, "interrupted", 130)
    return 0


def _fail(command: str, error: object, code: int) -> int:
    print(f"cydropout {command}: error: {' '.join(str(error).split())}", file=sys.stderr)
    return code


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
    commands = parser.add_subparsers(dest="command", required=True, metavar="{train,info}")

    train = commands.add_parser(
        "train", help="train one network without and with dropout, and draw both learning curves"
    )
    train.set_defaults(run=_train)

    def add(option: str, meaning: str, default: Any = None, shown: str = "", **how: Any) -> None:
        shown = shown or str(default)
        train.add_argument(option, help=f"{meaning} (default: {shown})", default=default, **how)

    add("--data", "what to learn", "digits", choices=("digits", "mnist", "fashion"))
    add("--directory", "where the files of mnist or fashion are", shown="download them", type=Path)
    add("--hidden", "hidden units", [256, 256], "256 256", type=_whole, nargs="+", metavar="N")
    add("--rate", "one, or one per hidden layer", [0.5], "0.5", type=_rate, nargs="+", metavar="P")
    add("--epochs", "passes over the data", 40, type=_whole, metavar="N")
    add("--batch-size", "samples in a step", 32, type=_whole, metavar="N")
    add("--optimizer", "how to step", "adam", choices=tuple(optimizers.NAMES))
    add("--learning-rate", "size of a step", shown="the optimizer's", type=_positive, metavar="X")
    add("--max-norm", "bound of each hidden unit's weights", shown="none", type=_positive,
        metavar="C")
    add("--seed", "of weights, order and masks", 0, type=_seed, metavar="N")
    # One: on networks this small, threads wait for each other longer than they work.
    add("--threads", "of the matrix products", 1, type=_count(os.cpu_count() or 1), metavar="N")
    add("--output", f"where {PICTURE} goes", Path("."), type=Path, metavar="DIR")

    info = commands.add_parser("info", help="show the build, the instruction sets, the threads")
    info.set_defaults(run=_info)
    return parser


def _info(options: argparse.Namespace) -> None:
    functional.show_config()


def _train(options: argparse.Namespace) -> None:
    rates = options.rate * len(options.hidden) if len(options.rate) == 1 else options.rate
    if len(rates) != len(options.hidden):
        raise UsageError(
            f"argument --rate: got {len(rates)} rates for {len(options.hidden)} hidden layers; "
            "give one, or one per layer"
        )
    if options.directory is not None and options.data == "digits":
        raise UsageError("argument --directory: the digits need none; it goes with --data mnist")
    picture = _writable(options.output) / PICTURE
    data = _load(options.data, options.directory)
    with blas_threads(options.threads):
        histories, rows = _compare(options, data, rates)

    sizes = "-".join(map(str, [data.x_train[0].size, *options.hidden, 10]))
    shown = ", ".join(f"{rate:g}" for rate in options.rate)
    title = f"{options.data}, {sizes}, {options.optimizer}, dropout {shown}"
    plot_histories(histories, picture, title=title)
    print(f"\n{title}, {options.epochs} epochs, seed {options.seed}\n")
    print(f"{'':<16}{'train accuracy':>16}{'test accuracy':>16}{'seconds':>10}")
    for label, train, test, seconds in rows:
        print(f"{label:<16}{train:>16.2%}{test:>16.2%}{seconds:>10.1f}")
    print(f"\nlearning curves: {picture}")


Row = tuple[str, float, float, float]


def _compare(
    options: argparse.Namespace, data: Dataset, rates: Sequence[float]
) -> tuple[dict[str, History], list[Row]]:
    """Train without and with dropout; return the histories and the rows of the table."""
    runs = {"without dropout": [0.0] * len(rates), "with dropout": rates}
    histories: dict[str, History] = {}
    rows: list[Row] = []
    for label, run_rates in runs.items():
        trainer = Trainer(
            _network(data, options.hidden, run_rates, options.max_norm),
            "softmax_cross_entropy",
            optimizers.get(options.optimizer, options.learning_rate),
            rng=options.seed,
            num_threads=options.threads,
        )
        started = time.perf_counter()
        histories[label] = trainer.fit(
            data.x_train,
            data.y_train,
            epochs=options.epochs,
            batch_size=options.batch_size,
            validation_data=(data.x_test, data.y_test),
            progress=f"{label:<15}",
        )
        seconds = time.perf_counter() - started
        train = trainer.evaluate(data.x_train, data.y_train)["accuracy"]
        test = trainer.evaluate(data.x_test, data.y_test)["accuracy"]
        rows.append((label, train, test, seconds))
    return histories, rows


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
        raise UsageError(f"argument --directory: {error}") from error


def _writable(directory: Path) -> Path:
    """Create ``directory`` and try to write there, before the training and not after it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"argument --output: cannot write to {directory}: {reason}") from error
