"""Dropout inside plain NumPy code: draw a mask, apply it forward, apply it backward. No layers."""

import numpy as np
from _common import load, parse

from cydropout import MaskStream

options = parse(__doc__, epochs=20)
data = load(options)
x, x_test = (a.reshape(len(a), -1) for a in (data.x_train, data.x_test))

rng, stream = np.random.default_rng(options.seed), MaskStream(options.seed)
w1 = rng.normal(0, np.sqrt(2 / x.shape[1]), (x.shape[1], 128)).astype("f4")
w2 = rng.normal(0, np.sqrt(1 / 128), (128, 10)).astype("f4")

for _ in range(options.epochs):
    for rows in np.array_split(rng.permutation(len(x)), max(1, len(x) // 32)):
        h = np.maximum(x[rows] @ w1, 0)
        mask = stream.draw(h.shape, rate=0.5)  # one bit per element
        hm = mask.apply(h)  # forward
        logits = hm @ w2
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        dlogits = p / p.sum(axis=1, keepdims=True) - np.eye(10, dtype="f4")[data.y_train[rows]]
        dh = mask.apply(dlogits @ w2.T) * (h > 0)  # backward: the same map
        w2 -= 0.1 / len(rows) * (hm.T @ dlogits)
        w1 -= 0.1 / len(rows) * (x[rows].T @ dh)

accuracy = np.mean((np.maximum(x_test @ w1, 0) @ w2).argmax(axis=1) == data.y_test)
print(f"test accuracy {accuracy:.2%}")
