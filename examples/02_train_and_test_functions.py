"""A 784-128-10 network by hand: train() masks the hidden units, test() uses every one of them."""

import numpy as np
from _common import load, parse

from cydropout import MaskStream
from cydropout.layers import Context, Dense, Sequential
from cydropout.training.losses import SoftmaxCrossEntropy
from cydropout.training.optimizers import Adam

KEEP_PROBABILITY = 0.5
BATCH = 32

options = parse(__doc__, epochs=10)
data = load(options)
x_train = data.x_train.reshape(len(data.x_train), -1)
x_test = data.x_test.reshape(len(data.x_test), -1)

rng = np.random.default_rng(options.seed)
stream = MaskStream(options.seed)
model = Sequential([Dense(128, activation="relu", init="he"), Dense(10)])
model.build(x_train.shape[1:], rng)
hidden, output = model.layers
parameters = model.parameters()
loss, optimizer = SoftmaxCrossEntropy(), Adam()


def train(x, y):
    """Take one step with a fresh mask over the hidden units and return the loss."""
    ctx = Context(training=True, stream=stream)
    h, hidden_backward = hidden.forward(x, ctx)
    mask = stream.draw(h.shape, rate=1 - KEEP_PROBABILITY)
    logits, output_backward = output.forward(mask.apply(h), ctx)
    value, gradient = loss(logits, y)
    for parameter in parameters:
        parameter.zero_grad()
    # The mask is its own adjoint: backward is the same call.
    hidden_backward(mask.apply(output_backward(gradient)))
    optimizer.step(parameters)
    return value


def test(x, y):
    """Return the accuracy with every unit at work; the mask's scale has made up for the rest."""
    ctx = Context(training=False)
    logits = output.forward(hidden.forward(x, ctx)[0], ctx)[0]
    return np.mean(logits.argmax(axis=1) == y)


for epoch in range(1, options.epochs + 1):
    order = rng.permutation(len(x_train))
    batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    mean = np.mean([train(x_train[rows], data.y_train[rows]) for rows in batches])
    accuracy = test(x_test, data.y_test)
    print(f"epoch {epoch:2}: training loss {mean:.4f}, test accuracy {accuracy:.2%}")
