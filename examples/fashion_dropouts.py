"""Fashion-MNIST with one CNN and four kinds of dropout between its layers: a table in Markdown."""

import argparse
import math
from pathlib import Path

from cydropout.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    DropBlock2D,
    Dropout,
    GlobalAveragePool2D,
    MaxPool2D,
    ReLU,
    Sequential,
    SpatialDropout2D,
)
from cydropout.training.callbacks import LearningRateSchedule
from cydropout.training.data import load_mnist
from cydropout.training.optimizers import Adam
from cydropout.training.trainer import Trainer

LAST = "channels_last"

#: What stands behind each of the two blocks, the second of which has the higher rate.
NOISE = {
    "none": lambda rate: None,
    "Dropout": lambda rate: Dropout(2 * rate),
    "SpatialDropout2D": lambda rate: SpatialDropout2D(rate, data_format=LAST),
    "DropBlock2D": lambda rate: DropBlock2D(rate, 3, data_format=LAST),
}


def network(noise):
    """Return two blocks of two convolutions, with noise behind each, and a linear classifier."""
    layers = []
    for filters, rate in ((32, 0.1), (64, 0.15)):
        for _ in range(2):
            layers += [
                Conv2D(
                    filters, 3, padding="same", bias=False, init="he", data_format=LAST
                ),
                BatchNorm(axis=-1),
                ReLU(),
            ]
        layers += [MaxPool2D(2, data_format=LAST), noise(rate)]
    layers += [GlobalAveragePool2D(data_format=LAST), Dense(10)]
    return Sequential([layer for layer in layers if layer is not None])


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", type=Path, help="directory with the files of Fashion-MNIST")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--limit", type=int, help="train on the first so many images")
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()

data = load_mnist(options.data, "fashion")
x_train, y_train = data.x_train[: options.limit, ..., None], data.y_train[: options.limit]
schedule = LearningRateSchedule(
    lambda epoch: 0.001 * (1 + math.cos(math.pi * (epoch - 1) / options.epochs)) + 1e-5
)

rows = []
for name, noise in NOISE.items():
    trainer = Trainer(network(noise), "softmax_cross_entropy", Adam(), rng=options.seed)
    history = trainer.fit(
        x_train, y_train, epochs=options.epochs, batch_size=128, callbacks=[schedule],
        progress=name,
    )
    seen = trainer.evaluate(x_train, y_train)["accuracy"]
    unseen = trainer.evaluate(data.x_test[..., None], data.y_test)["accuracy"]
    seconds = history.records[-1]["seconds"]
    rows.append(f"| {name} | {seen:.2%} | {unseen:.2%} | {seconds:.1f} |")

print("| dropout | training accuracy | test accuracy | seconds an epoch |")
print("|---|---:|---:|---:|")
print("\n".join(rows))
