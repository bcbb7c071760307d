"""One rate per neuron, and the three scalings side by side."""

import numpy as np
from _common import load, parse

from cydropout import MaskStream, Trainer
from cydropout.layers import Dense, Dropout, Flatten, Sequential

UNITS = 128

options = parse(__doc__, epochs=10)
data = load(options)

print("One rate per neuron: the share of 10 000 samples in which each of five was dropped")
rates = np.array([0.0, 0.1, 0.25, 0.5, 1.0])
mask = MaskStream(options.seed).draw((10_000, rates.size), rates)
for rate, dropped in zip(rates, 1 - mask.keep.mean(axis=0), strict=True):
    print(f"  rate {rate:.2f}: dropped {dropped:.4f}")

print("\nThe three scalings at rate 0.5: mean and mean square of what were ones")
ones = np.ones((1000, UNITS), np.float32)
for scaling in ("inverted", "classic", "sqrt"):
    y = MaskStream(options.seed).draw(ones.shape, 0.5, scaling=scaling).apply(ones)
    print(f"  {scaling:<9} mean {y.mean():.3f}, mean square {np.square(y).mean():.3f}")

print(f"\nTrained for {options.epochs} epochs: test accuracy")
per_neuron = np.linspace(0.1, 0.9, UNITS)
for words, rate in (("rate 0.5", 0.5), ("rates 0.1 to 0.9", per_neuron)):
    for scaling in ("inverted", "classic", "sqrt"):
        dropout = Dropout(rate, scaling=scaling)
        model = Sequential([Flatten(), Dense(UNITS, activation="relu"), dropout, Dense(10)])
        trainer = Trainer(model, "softmax_cross_entropy", "adam", rng=options.seed)
        trainer.fit(data.x_train, data.y_train, epochs=options.epochs, progress=False)
        accuracy = trainer.evaluate(data.x_test, data.y_test)["accuracy"]
        print(f"  {words:<17} {scaling:<9} {accuracy:.2%}")
