"""Inputs of the variants, and whether their results are what the formulas say."""

import numpy as np

from suite.catalogue import VARIANTS
from suite.expect import expect

UNITS = 512  # of the products
WORDS = 10_000


def inputs(case):
    """Return the arrays that a variant gets; the last is the gradient of its result."""
    check, x, dy = VARIANTS[case.variant].check, case.array(0), case.array(1)
    if check == "zoneout":
        return x, case.array(2), dy
    if check == "learned":
        odds = case.rate / (1 - case.rate)
        return x, np.array(np.log(odds), case.numpy_dtype), dy
    if check == "gated":
        return x, case.array(2), case.array(3), case.array(4), dy
    if check in ("product", "layer"):
        weight = np.random.default_rng(5).standard_normal((case.shape[-1], UNITS))
        return x, (weight / np.sqrt(UNITS)).astype(case.numpy_dtype), dy
    if check == "embedding":
        rng = np.random.default_rng(6)
        tokens = rng.integers(0, WORDS, case.shape[:-1])
        table = rng.standard_normal((WORDS, case.shape[-1]), "f4")
        return tokens, table.astype(case.numpy_dtype), dy
    if check == "agreement":
        labels = np.random.default_rng(7).integers(0, case.shape[1], case.shape[0] // 2)
        return x, labels, np.ones((), case.numpy_dtype)
    if check == "monte_carlo":
        return (x,)
    if check == "patches":
        return x, dy[:, : dy.shape[1] - round(case.rate * dy.shape[1])].copy()
    return x, dy


def check(case, arrays, result):
    """Raise WrongResult unless result, and gradients, are those of the variant."""
    result = [np.asarray(part, "f8") for part in result]
    arrays = [np.asarray(a, "f8") if a.dtype.kind == "f" else a for a in arrays]
    globals()[f"_{VARIANTS[case.variant].check}"](case, *arrays, *result)


def _share(case, dropped, tolerance=0.08):
    share = np.mean(dropped)
    expect(abs(share - case.rate) < tolerance, f"it drops a share of {share:.4f}")


def _close(a, b, what, tolerance=1e-4):
    expect(np.allclose(a, b, rtol=tolerance, atol=tolerance * (1 + np.abs(b).max())), what)


def _factors(x, dy, y, dx):
    """y = f x and dx = f dy for one f; return it."""
    f = y / x
    _close(dx, f * dy, "the gradient has other factors than the result")
    return f


def _diagonal(case, x, dy, y, dx):
    f = _factors(x, dy, y, dx)
    kept = f[f != 0]
    _share(case, f == 0)
    _close(kept, 1 / (1 - case.rate), "a kept element is not x / (1 - rate)", 0.02)


def _blocks(case, x, dy, y, dx):
    f = _factors(x, dy, y, dx)
    _share(case, f == 0)
    rows = f.reshape(len(f), -1)
    one = np.isclose(rows, rows.max(axis=1, keepdims=True)) | (rows == 0)
    expect(one.all(), "a sample has several scales")
    expect(abs(f.mean() - 1) < 0.1, "the mean is not kept")


def _cut(case, x, dy, y, dx):
    f = _factors(x, dy, y, dx)
    expect(np.isin(f.round(6), (0, 1)).all(), "a kept element is changed")
    expect((f == f[:, :1]).all(), "the channels differ")
    expect(0 < (f == 0).mean() <= case.rate + 0.01, "the square has another size")


def _noise(case, x, dy, y, dx):
    f = _factors(x, dy, y, dx)
    expect(abs(f.mean() - 1) < 0.02, f"the factors' mean is {f.mean():.4f}")
    expect(f.std() > 0.1, "there is no noise")
    return f


def _learned(case, x, theta, dy, y, dx, dtheta):
    f = _noise(case, x, dy, y, dx)
    expect(np.shape(dtheta) == (), "the learned rate has no gradient")
    if case.variant == "VariationalGaussianDropout":
        _close(dtheta, (dy * x * (f - 1)).sum() / 2, "its gradient is wrong", 0.01)


def _affine(case, x, dy, y, dx):
    kept = dx != 0
    _share(case, ~kept)
    a = (dx[kept] / dy[kept]).mean()
    _close(dx[kept], a * dy[kept], "the gradient has several scales")
    b = (y[kept] - a * x[kept]).mean()
    _close(y[kept], a * x[kept] + b, "a kept element is not a x + b")
    _close(y[~kept], -1.7580993408473766 * a + b, "a dropped element is not at the lower end")


def _standout(case, z, dy, y, dz):
    kept = y != 0
    k = 1 / (1 + np.exp(-z))
    gradient = kept + np.maximum(z, 0) * k * (1 - k)
    _close(dz, dy * gradient, "the gradient is not straight through the decision", 1e-3)
    _close(y[kept], z[kept], "a kept element is not relu(z)")
    expected = (z > 0) / (1 + np.exp(-z))
    expect(abs(kept.mean() - expected.mean()) < 0.01, "the rate is not that of the input")


def _product(case, x, weight, dy, y, dx, dweight):
    whole = x @ weight
    # Dropping adds noise to the product and raises its variance by 1 / q.
    for found, without, name in ((y, whole, "y"), (dx, dy @ weight.T, "dx"),
                                 (dweight, x.T @ dy, "dW")):
        expect(found.shape == without.shape, f"{name} has another shape")
        expect(np.corrcoef(found.ravel(), without.ravel())[0, 1] > 0.5, f"{name} is no product")
        raised = found.std() / without.std() * (1 - case.rate) ** 0.5
        expect(abs(raised - 1) < 0.1, f"{name} has a wrong scale")


def _layer(case, x, weight, dy, y, dx, *rest):
    ran = np.allclose(y, x @ weight, rtol=1e-3, atol=1e-3)
    expect(ran or np.array_equal(y, x), "it is neither the layer nor the identity")
    _close(dx, dy @ weight.T if ran else dy, "its gradient is another's", 1e-3)


def _gated(case, previous, forget, gate, candidate, dy, y, *grads):
    kept = (y - forget * previous) / (gate * candidate)
    _share(case, np.abs(kept) < 1e-3)
    right = (np.abs(kept) < 1e-3) | (np.abs(kept - 1 / (1 - case.rate)) < 1e-3)
    small = np.abs(gate * candidate) < 1e-2
    expect((right | small).all(), "it is not f c + i m g / q")
    _close(grads[0], dy * forget, "the gradient of the state is wrong")
    _close(grads[1], dy * previous, "the gradient of the forget gate is wrong")


def _zoneout(case, new, previous, dy, y, dnew, dprevious):
    zoned = y == previous
    _share(case, zoned)
    expect((zoned | (y == new)).all(), "an element is of neither state")
    _close(dprevious, dy * zoned, "the gradient of the previous state is wrong")
    _close(dnew, dy * ~zoned, "the gradient of the new state is wrong")


def _embedding(case, tokens, table, dy, y, dtable):
    rows = table[tokens] / (1 - case.rate)
    dropped = (y == 0).all(axis=-1)
    _share(case, dropped)
    _close(y, rows * ~dropped[..., None], "a row is not that of its word")
    words = np.zeros(len(table), bool)
    words[tokens[dropped]] = True
    expect(not words[tokens[~dropped]].any(), "a word is dropped in some places alone")
    expected = np.zeros_like(table)
    np.add.at(expected, tokens[~dropped], dy[~dropped] / (1 - case.rate))
    _close(dtable, expected, "the gradient of the table is wrong", 1e-3)


def _patches(case, x, dy, y, dx):
    expect(y.shape == dy.shape, f"it keeps {y.shape[1]} tokens")
    of = (x[:, None, :, 0] == y[:, :, None, 0]).argmax(axis=2)
    expect((np.take_along_axis(x, of[..., None], 1) == y).all(), "a row is none of the tokens")
    expected = np.zeros_like(x)
    np.put_along_axis(expected, of[..., None], dy, 1)
    _close(dx, expected, "the gradient went to other tokens")


def _softmax(case, scores, dy, y, dscores):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    f = y / p
    _share(case, f == 0)
    _close(f[f != 0], 1 / (1 - case.rate), "a kept weight is not softmax / (1 - rate)", 1e-3)
    inner = f * dy
    _close(dscores, p * (inner - (p * inner).sum(axis=-1, keepdims=True)), "dscores is wrong")


def agreement(logits, labels):
    """Return the loss of R-Drop with alpha 1."""
    p = logits - logits.max(axis=1, keepdims=True)
    p -= np.log(np.exp(p).sum(axis=1, keepdims=True))
    a, b = np.split(p, 2)
    rows = np.arange(len(labels))
    divergence = ((np.exp(a) - np.exp(b)) * (a - b)).sum(axis=1) / 2
    return (divergence - a[rows, labels] - b[rows, labels]).mean()


def _agreement(case, logits, labels, dy, y, gradient):
    _close(y, agreement(logits, labels), "the loss is another")
    direction = np.random.default_rng(8).standard_normal(logits.shape)
    above, below = (agreement(logits + h * direction, labels) for h in (1e-5, -1e-5))
    expected = (above - below) / 2e-5
    expect(abs(expected - (direction * gradient).sum()) < 1e-3, "its gradient is wrong")


def _monte_carlo(case, x, mean, std):
    _close(mean.sum(axis=1), 1, "the mean probabilities do not sum to 1")
    expect((std > 0).all(), "there is no spread")
