"""The options that every example takes, and the data they ask for."""

import argparse
from pathlib import Path

from cydropout.training.data import Dataset, load_digits, load_mnist


def parse(description: str, epochs: int) -> argparse.Namespace:
    """Read the command line; ``epochs`` is the default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", choices=("digits", "mnist", "fashion"), default="digits")
    parser.add_argument("--directory", type=Path, help="where the files of mnist are")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def load(options: argparse.Namespace) -> Dataset:
    """Return the data: images in [0, 1] as float32, labels as int64."""
    if options.data == "digits":
        return load_digits()
    return load_mnist(options.directory, options.data)
