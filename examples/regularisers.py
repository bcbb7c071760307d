"""L1, L2, dropout, L2 with dropout, and none: one network on a training set that is too small.

Draws the learning curves into regularisers.png and prints a table in Markdown.
"""

import numpy as np
from _common import load, parse

from cydropout import Trainer
from cydropout.layers import Dense, Dropout, Flatten, Sequential
from cydropout.training.history import plot_histories
from cydropout.training.optimizers import SGD

SAMPLES, SEEDS = 1000, 3
# Common strengths, not tuned for these data: what is shown is how the kinds differ.
KINDS = {
    "none": {},
    "L1": {"l1": 1e-4},
    "L2": {"l2": 1e-3},
    "dropout": {"rate": 0.5},
    "L2 and dropout": {"l2": 1e-3, "rate": 0.5},
}


def network(shape, l1=0.0, l2=0.0, rate=0.0, units=128):
    """Return Flatten-units-ReLU-units-ReLU-10, with a penalty on every matrix."""
    penalty = {"l1": l1, "l2": l2}
    hidden = {"activation": "relu", "init": "he", **penalty}
    return Sequential([
        Flatten(*shape), Dense(units, **hidden), Dropout(rate), Dense(units, **hidden),
        Dropout(rate), Dense(10, **penalty),
    ])


def train(data, settings, epochs, seed):
    """Return the trained network and its history."""
    model = network(data.x_train.shape[1:], **settings)
    trainer = Trainer(model, "softmax_cross_entropy", SGD(0.05, momentum=0.9), rng=seed)
    history = trainer.fit(
        data.x_train[:SAMPLES],
        data.y_train[:SAMPLES],
        epochs=epochs,
        validation_data=(data.x_test, data.y_test),
        progress=False,
    )
    trained = trainer.evaluate(data.x_train[:SAMPLES], data.y_train[:SAMPLES])
    weights = np.concatenate([p.value.ravel() for p in model.parameters() if p.value.ndim == 2])
    measured = {
        "train": 100 * trained["accuracy"],
        "test": 100 * history["val_accuracy"][-1],
        "norm": float(np.linalg.norm(weights)),
        "zeros": 100 * float(np.mean(np.abs(weights) < 1e-3)),
    }
    return measured, history


def main():
    options = parse(__doc__, epochs=30)
    data = load(options)
    histories = {}
    print("| kind | training accuracy | test accuracy | norm of W | W below 0.001 |")
    print("|---|---|---|---|---|")
    for kind, settings in KINDS.items():
        seeds = range(options.seed, options.seed + SEEDS)
        runs = [train(data, settings, options.epochs, seed) for seed in seeds]
        histories[kind] = runs[0][1]
        found = {name: [measured[name] for measured, _ in runs] for name in runs[0][0]}
        mean = {name: np.mean(values) for name, values in found.items()}
        print(
            f"| {kind} | {mean['train']:.2f} % "
            f"| {mean['test']:.2f} ± {np.std(found['test'], ddof=1):.2f} % "
            f"| {mean['norm']:.1f} | {mean['zeros']:.0f} % |",
            flush=True,
        )
    title = f"{options.data}, {min(SAMPLES, len(data.x_train))} training samples"
    plot_histories(histories, "regularisers.png", title=title)


if __name__ == "__main__":
    main()
