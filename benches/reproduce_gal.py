"""RMSE and test log likelihood of regressors that say how sure they are, over random splits.

    python benches/reproduce_gal.py
    python benches/reproduce_gal.py --sets friedman1 --splits 5

The table of Gal & Ghahramani 2016, "Dropout as a Bayesian approximation", on the sets that
scikit-learn ships or makes. What was done is not repeated when the command is given again.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

sys.path.insert(0, str(Path(__file__).parent))

from cydropout.sklearn import DropoutMLPRegressor
from suite import sections

HERE = Path(__file__).resolve().parent
SETS = {
    "diabetes": lambda n: datasets.load_diabetes(return_X_y=True),
    "california": lambda n: datasets.fetch_california_housing(
        return_X_y=True, download_if_missing=False),
    "friedman1": lambda n: datasets.make_friedman1(n, noise=1.0, random_state=0),
    "friedman2": lambda n: datasets.make_friedman2(n, noise=125.0, random_state=0),
    "friedman3": lambda n: datasets.make_friedman3(n, noise=0.1, random_state=0),
    "sparse uncorrelated": lambda n: datasets.make_sparse_uncorrelated(n, random_state=0),
}
#: Of each network one is chosen in each split: by the strength of L2, or by the rate of dropout.
NETWORKS = {
    "no dropout": [{"dropout": 0.0, "alpha": a} for a in (1e-4, 1e-2, 1.0, 10.0)],
    "dropout": [{"dropout": p, "input_dropout": p} for p in (0.005, 0.01, 0.05, 0.1)],
}
METHODS = (*NETWORKS, "Gaussian process")
HEAD = (
    "Made by `python benches/reproduce_gal.py`. Mean ± standard error over {splits} random splits "
    "into 90 % and 10 %; all methods get the same splits. The networks have one hidden layer of "
    "50 ReLUs, {epochs} epochs of Adam on batches of 32. One of four strengths of L2 (no dropout) "
    "or rates ({rates}; dropout) and the variance of the noise are those of the highest "
    "likelihood on a fifth of the training part, on all of which the network is then trained "
    "anew. With dropout, mean and variance are those of 100 passes, plus the noise. The Gaussian "
    "process has a squared exponential kernel with a length for each feature, and noise, by "
    "marginal likelihood. The log likelihood is that of a normal distribution, in nats for each "
    "test sample, of targets in their own units."
)


def load(name, count):
    """Return at most so many samples and their targets, or None where the set is not there."""
    try:
        x, y = SETS[name](count)
    except OSError:
        return None
    rows = np.random.default_rng(0).permutation(len(x))[:count]
    return x[rows], y[rows]


def likelihood(error, std):
    """Return the mean log density of errors under normal distributions around 0."""
    return float(np.mean(-0.5 * np.log(2 * np.pi * std**2) - error**2 / (2 * std**2)))


def noise(error, std):
    """Return the likelihood and the deviation of the noise that make the errors the most likely."""
    return max((likelihood(error, np.sqrt(std**2 + v**2)), v) for v in np.geomspace(0.01, 2, 100))


def network(settings, x, y, test, epochs, seed):
    """Choose among settings, train again on all; return mean and deviation for the test samples."""
    def fitted(chosen, rows):
        return DropoutMLPRegressor(
            (50,), batch_size=32, learning_rate_init=0.003, max_iter=epochs, n_jobs=1,
            n_iter_no_change=np.inf, mc_samples=100, random_state=seed, **chosen,
        ).fit(x[rows], y[rows])

    order = np.random.default_rng(seed).permutation(len(x))
    held, kept = np.split(order, [len(x) // 5])
    found = []
    for chosen in settings:
        mean, std = fitted(chosen, kept).predict(x[held], return_std=True)
        found.append((*noise(y[held] - mean, std), chosen))
    _, spread, chosen = max(found, key=lambda one: one[0])
    mean, std = fitted(chosen, order).predict(test, return_std=True)
    return mean, np.sqrt(std**2 + spread**2)


def process(x, y, test, seed):
    """Return mean and deviation of a Gaussian process for the test samples."""
    kernel = (ConstantKernel(1.0, (1e-3, 1e6)) * RBF(np.ones(x.shape[1]), (1e-2, 1e4))
              + WhiteKernel(0.1, (1e-6, 10)))
    with warnings.catch_warnings():
        # A feature that tells nothing has the largest length that is allowed.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = GaussianProcessRegressor(kernel, random_state=seed).fit(x, y)
    return model.predict(test, return_std=True)


def split(x, y, epochs, seed):
    """Return (RMSE, log likelihood) of each method in one split."""
    order = np.random.default_rng([1, seed]).permutation(len(x))
    test, train = np.split(order, [max(1, len(x) // 10)])
    centre, scale = x[train].mean(axis=0), x[train].std(axis=0)
    middle, width = y[train].mean(), y[train].std()
    x, z = (x - centre) / scale, (y - middle) / width
    found = {}
    for name in METHODS:
        if name in NETWORKS:
            mean, std = network(NETWORKS[name], x[train], z[train], x[test], epochs, seed)
        else:
            mean, std = process(x[train], z[train], x[test], seed)
        error = z[test] - mean
        found[name] = (width * np.sqrt(np.mean(error**2)), likelihood(error, std) - np.log(width))
    return found


def measure(name, data, options, bar):
    """Return the fields of a set, from the file of an earlier run where there is one."""
    path = options.output / (f"{name.replace(' ', '-')}-{len(data[0])}-samples-{options.splits}-"
                             f"splits-{options.epochs}-epochs.json")
    if path.exists():
        bar.update(options.splits)
        return json.loads(path.read_text())
    runs = []
    for seed in range(options.splits):
        bar.set_description_str(name)
        runs.append(split(*data, options.epochs, seed))
        bar.update()
    fields = {"samples": data[0].shape[0], "features": data[0].shape[1],
              "runs": {one: [run[one] for run in runs] for one in METHODS}}
    path.write_text(json.dumps(fields) + "\n")
    return fields


def table(found):
    """Return the figures as Markdown."""
    lines = [f"| data | n x d | {' | '.join(f'RMSE, {one}' for one in METHODS)} | "
             f"{' | '.join(f'log likelihood, {one}' for one in METHODS)} |",
             "|---" * (2 + 2 * len(METHODS)) + "|"]
    for name, fields in found.items():
        cells = []
        for place in (0, 1):
            for one in METHODS:
                values = np.array(fields["runs"][one])[:, place]
                error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
                cells.append(f"{values.mean():#.3g} ± {error:.2g}")
        lines.append(f"| {name} | {fields['samples']} x {fields['features']} | "
                     f"{' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=[*SETS], metavar="NAME",
                        help=f"of {', '.join(SETS)} (default: all that are there)")
    parser.add_argument("--splits", type=int, default=20, metavar="N")
    parser.add_argument("--epochs", type=int, default=200, metavar="N", help="of each network")
    parser.add_argument("--samples", type=int, default=500, metavar="N",
                        help="how many are made, or drawn from a larger set (default: 500)")
    parser.add_argument("--output", type=Path, metavar="DIR",
                        default=HERE.parent / "bench-results" / "gal",
                        help="what is found in each set (default: %(default)s)")
    parser.add_argument("--page", type=Path, metavar="FILE", default=HERE / "RESULTS.md",
                        help="the page that takes the table in (default: %(default)s)")
    options = parser.parse_args()
    for name, least in (("splits", 1), ("epochs", 1), ("samples", 20)):
        if (value := getattr(options, name)) < least:
            parser.error(f"--{name} must be {least} or more, not {value}")
    from tqdm import tqdm

    options.output.mkdir(parents=True, exist_ok=True)
    loaded = {name: load(name, options.samples) for name in options.sets}
    there = {name: data for name, data in loaded.items() if data is not None}
    with tqdm(total=len(there) * options.splits, unit="split", dynamic_ncols=True) as bar:
        found = {name: measure(name, data, options, bar) for name, data in there.items()}
    rates = ", ".join(f"{one['dropout']:g}" for one in NETWORKS["dropout"])
    parts = ["## Table 1 of Gal & Ghahramani 2016, on other sets",
             HEAD.format(splits=options.splits, epochs=options.epochs, rates=rates), table(found)]
    if missing := [name for name in loaded if name not in there]:
        parts.append(f"Not here, as scikit-learn has not fetched it: {', '.join(missing)}.")
    sections.replace(options.page, "gal", "\n\n".join(parts))
    print(table(found))


if __name__ == "__main__":
    main()
