"""A curve learned with dropout, and how sure the network is of it beside the data.

Draws mean and band into uncertainty_band.png and prints a table in Markdown.
"""

import argparse
import warnings

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.exceptions import ConvergenceWarning

from cydropout.sklearn import DropoutMLPRegressor

PARTS = {"among the data": (-1, 1), "up to 1 beside them": (1, 2), "further away": (2, 3)}


def samples(count, seed):
    """Return places from -1 to 1, with a gap in the middle, and noisy values of a curve."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.25, 1, count) * rng.choice([-1, 1], count)
    return x[:, None], np.sin(4 * x) + 0.1 * rng.standard_normal(count)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=600)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    x, y = samples(options.samples, options.seed)
    model = DropoutMLPRegressor(
        (100, 100), dropout=0.1, batch_size=32, learning_rate_init=0.003, max_iter=options.epochs,
        n_iter_no_change=np.inf, mc_samples=200, random_state=options.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    grid = np.linspace(-3, 3, 301)
    mean, std = model.predict(grid[:, None], return_std=True)
    print("| where | mean standard deviation |\n|---|---|")
    for name, (low, high) in PARTS.items():
        inside = (abs(grid) <= high) & (abs(grid) > max(low, 0))
        print(f"| {name} | {std[inside].mean():.3f} |")
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    for width in (2, 1):
        panel.fill_between(grid, mean - width * std, mean + width * std, color="C0", alpha=0.2,
                           linewidth=0, label=f"mean ± {width} standard deviations")
    panel.plot(grid, mean, color="C0")
    panel.plot(x[:, 0], y, ".", color="black", markersize=4, label="data")
    panel.set_ylim(-5, 5)
    panel.legend(loc="lower left")
    figure.savefig("uncertainty_band.png", dpi=120)


if __name__ == "__main__":
    main()
