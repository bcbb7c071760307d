"""A 784-64-10 network with dropout 0.5, trained on one-hot labels (the digits have 64 inputs)."""

import numpy as np
from _common import load, parse

from cydropout import Trainer
from cydropout.layers import Dense, Dropout, Flatten, ReLU, Sequential

options = parse(__doc__, epochs=10)
data = load(options)
one_hot = np.eye(10, dtype=np.float32)

model = Sequential([Flatten(), Dense(64), ReLU(), Dropout(0.5), Dense(10)])
model.summary(data.x_train.shape[1:])

# The softmax is part of the loss: from logits it stays exact where probabilities would underflow.
trainer = Trainer(model, "softmax_cross_entropy", "adam", rng=options.seed)
trainer.fit(data.x_train, one_hot[data.y_train], epochs=options.epochs, batch_size=32)

scores = trainer.evaluate(data.x_test, one_hot[data.y_test])
print(f"test loss {scores['loss']:.4f}, test accuracy {scores['accuracy']:.2%}")
