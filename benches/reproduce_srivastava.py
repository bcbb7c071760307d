"""Train the nets of Table 2 of Srivastava et al. 2014 on MNIST, and write table and curves.

    python benches/reproduce_srivastava.py --data DIR
    python benches/reproduce_srivastava.py --rows plain dropout --seeds 0 1 2
    python benches/reproduce_srivastava.py --report-only

A run that was killed goes on after its last whole epoch when the command is given again; a finished
one is not repeated.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from srivastava import report, training
from srivastava.recipes import RECIPES

from cydropout.training.data import load_mnist

HERE = Path(__file__).resolve().parent


def default_data():
    given = os.environ.get("CYDROPOUT_DATA")
    return Path(given) / "mnist" if given else None


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR", default=default_data(),
                        help="where the files of MNIST are (default: $CYDROPOUT_DATA/mnist, or "
                             "download them)")
    parser.add_argument("--output", type=Path, metavar="DIR",
                        default=HERE.parent / "bench-results" / "srivastava",
                        help="checkpoints, results, table and curves (default: %(default)s)")
    parser.add_argument("--page", type=Path, metavar="FILE", default=HERE / "RESULTS.md",
                        help="the page that takes the table in (default: %(default)s)")
    parser.add_argument("--rows", nargs="+", choices=RECIPES, default=[*RECIPES], metavar="NAME",
                        help=f"which to train: {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N",
                        help="one run each (default: 0)")
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of each recipe's")
    parser.add_argument("--batch-size", type=int, metavar="N", help="instead of each recipe's")
    parser.add_argument("--report-only", action="store_true",
                        help="train nothing, write table and curves again")
    options = parser.parse_args(arguments)
    for name in ("epochs", "batch_size"):
        if (value := getattr(options, name)) is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be 1 or more, not {value}")
    if min(options.seeds) < 0:
        parser.error(f"--seeds must be 0 or more, not {min(options.seeds)}")
    return options


def main():
    options = parse()
    options.output.mkdir(parents=True, exist_ok=True)
    if not options.report_only:
        runs = [
            training.Run(name, options.epochs or RECIPES[name].epochs,
                         options.batch_size or RECIPES[name].batch, seed)
            for seed in dict.fromkeys(options.seeds) for name in dict.fromkeys(options.rows)
        ]
        try:
            training.train_all(runs, load_mnist(options.data), options.output)
        except KeyboardInterrupt:
            sys.exit("\ninterrupted; the same command goes on from the last whole epoch")
    print(report.write(options.output, options.page))


if __name__ == "__main__":
    main()
