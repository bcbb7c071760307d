"""Are the probabilities of a classifier true? Reliability curve and ECE on MNIST, with a picture.

    python benches/calibrate_mnist.py --data DIR

Without dropout, with dropout in training alone, and with the mean of many passes with dropout.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parent))

from reproduce_srivastava import default_data

from cydropout.sklearn import DropoutMLPClassifier
from cydropout.training.data import load_mnist
from suite import sections

HERE = Path(__file__).resolve().parent
PICTURE = "calibration.png"
BINS = 15
#: The rate of dropout in training, and how many passes make a prediction.
ROWS = {"no dropout": (0.0, 0), "dropout": (0.5, 0), "dropout, mean of 50 passes": (0.5, 50)}
HEAD = (
    "Made by `python benches/calibrate_mnist.py`. 784-512-512-10, ReLU, Adam 0.001, {epochs} "
    "epochs in batches of 128 of {samples} images, {tested} test images; mean ± standard "
    "deviation of the seeds {seeds}. ECE is the expected calibration error: the distance of "
    "accuracy and confidence, which is the probability of the predicted class, in {bins} bins of "
    "equal width, weighted by their counts. Log loss in nats; the Brier score is the squared "
    "distance to the one-hot label. The last column: how many of all errors are among the tenth "
    "of the images with the highest entropy."
)


def bins_of(p, y, bins=BINS):
    """Return count, mean confidence and accuracy of each bin of equal width that is not empty."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    full = count > 0
    return count[full], *(np.bincount(place, values, bins)[full] / count[full]
                          for values in (confidence, right))


def calibration_error(p, y, bins=BINS):
    """Return ``sum_b n_b / n |accuracy_b - confidence_b|``."""
    count, confidence, accuracy = bins_of(p, y, bins)
    return float(np.average(abs(accuracy - confidence), weights=count))


def measures(p, y):
    """Return what the columns of the table say of probabilities."""
    wrong = p.argmax(axis=1) != y
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
    unsure = entropy.argsort()[-max(1, len(y) // 10):]
    return {
        "accuracy, %": 100 * (1 - wrong.mean()),
        "ECE, %": 100 * calibration_error(p, y),
        "log loss": float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-300)).mean()),
        "Brier": float(((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1).mean()),
        "errors in the least sure tenth, %": 100 * wrong[unsure].sum() / max(1, wrong.sum()),
    }


def predictions(data, epochs, seed):
    """Return the test probabilities of each row, of networks of one seed."""
    x, x_test = (part.reshape(len(part), -1) for part in (data.x_train, data.x_test))
    models, found = {}, {}
    for name, (rate, passes) in ROWS.items():
        if rate not in models:
            models[rate] = DropoutMLPClassifier(
                (512, 512), dropout=rate, batch_size=128, max_iter=epochs, n_iter_no_change=np.inf,
                random_state=seed).fit(x, data.y_train)
        found[name] = models[rate].set_params(mc_samples=passes).predict_proba(x_test).astype("f8")
    return found


def draw(found, y, path):
    """Draw the reliability curves, each of the images of all seeds."""
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    panel.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="as sure as right")
    for name, parts in found.items():
        p = np.concatenate(parts)
        _, confidence, accuracy = bins_of(p, np.tile(y, len(parts)))
        panel.plot(confidence, accuracy, marker="o", markersize=4, label=name)
    panel.set(xlabel="confidence", ylabel="accuracy", title="MNIST")
    panel.legend()
    panel.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def table(found, y):
    """Return mean and standard deviation over the seeds as Markdown."""
    rows = {name: [measures(p, y) for p in parts] for name, parts in found.items()}
    columns = [*next(iter(rows.values()))[0]]
    lines = [f"| | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for name, seeds in rows.items():
        values = np.array([[one[column] for column in columns] for one in seeds])
        cells = [f"{mean:#.3g} ± {std:.1g}" for mean, std in
                 zip(values.mean(axis=0), values.std(axis=0), strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR", default=default_data(),
                        help="where the files of MNIST are (default: $CYDROPOUT_DATA/mnist, or "
                             "download them)")
    parser.add_argument("--limit", type=int, metavar="N", help="train and test on the first N")
    parser.add_argument("--epochs", type=int, default=20, metavar="N")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N")
    parser.add_argument("--page", type=Path, metavar="FILE", default=HERE / "RESULTS.md",
                        help="the page that takes the table in, with the picture beside it "
                             "(default: %(default)s)")
    options = parser.parse_args()
    from tqdm import tqdm

    data = load_mnist(options.data)
    if options.limit:
        data = type(data)(*(part[: options.limit] for part in (
            data.x_train, data.y_train, data.x_test, data.y_test)))
    runs = [predictions(data, options.epochs, seed)
            for seed in tqdm(options.seeds, unit="seed", dynamic_ncols=True)]
    found = {name: [run[name] for run in runs] for name in ROWS}
    draw(found, data.y_test, options.page.parent / PICTURE)
    text = table(found, data.y_test)
    head = HEAD.format(samples=len(data.x_train), epochs=options.epochs, bins=BINS,
                       seeds=", ".join(map(str, options.seeds)), tested=len(data.y_test))
    sections.replace(options.page, "calibration", "\n\n".join([
        "## Calibration on MNIST", head, text, f"![accuracy against confidence]({PICTURE})"]))
    print(text)


if __name__ == "__main__":
    main()
