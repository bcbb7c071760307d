"""Alpha dropout: the affine map of its mask, and the moments that it keeps."""

import pickle

import numpy as np
import pytest
import reference

from cydropout import MaskStream
from cydropout.layers import AlphaDropout, Context, FeatureAlphaDropout
from cydropout.masks import AlphaMask

KEY, DRAW = 0x299F31D0A4093822, 0x370734413198A2E
DTYPES = ["float16", "bfloat16", "float32", "float64"]


def alpha(shape, rate=0.3, **options):
    return MaskStream.from_state(KEY, DRAW).make(AlphaMask, shape, rate, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, axes", [((5003,), ()), ((40, 7, 3, 3), (2, 3)), ((9, 400), (1,)),
                                         ((33, 65), (0,))])
def test_the_map_of_the_mask(build, dtype, shape, axes):
    dtype = reference.dtype_named(dtype)
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x.flat[::50] = np.nan
    kept = reference.keep(KEY, DRAW, shape, 0.3, 7, axes)
    forward, backward = reference.alpha_dropout(x, kept, 0.3)
    for storage in ("bits", "seed"):
        for num_threads in (1, 3):
            mask = alpha(shape, shared_axes=axes, storage=storage, offset=7)
            assert mask.apply(x, num_threads=num_threads).tobytes() == forward.tobytes()
            assert mask.backward(x, num_threads=num_threads).tobytes() == backward.tobytes()
            copy = pickle.loads(pickle.dumps(mask))
            assert copy.apply(x).tobytes() == forward.tobytes()


def test_it_keeps_mean_0_and_variance_1():
    z = np.random.default_rng(1).standard_normal(2**20)
    selu = 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0)))
    assert abs(selu.mean()) < 0.005 and abs(selu.var() - 1) < 0.01
    for rate in (0.05, 0.1, 0.5):
        y = alpha(selu.shape, rate).apply(selu)
        assert abs(y.mean()) < 0.01 and abs(y.var() - 1) < 0.02
        assert len(np.unique(y[~alpha(selu.shape, rate).keep])) == 1


def test_rate_0_and_1():
    stream, x = MaskStream(0), np.array([1.0, np.nan, -0.0, np.inf])
    y = stream.make(AlphaMask, 4, 0.0).apply(x)
    assert y.tobytes() == x.tobytes() and y is not x and stream.next_draw == 0
    mask = stream.make(AlphaMask, 4, 1.0)
    assert (mask.apply(x) == 0).all() and (mask.backward(x) == 0).all()


@pytest.mark.parametrize("layer", [AlphaDropout, FeatureAlphaDropout])
def test_the_formula_of_pytorch(layer):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((64, 32, 4)).astype("f4")
    stream = MaskStream(3)
    y, _ = layer(0.25).forward(x, Context(training=True, stream=stream))
    axes = (2,) if layer is FeatureAlphaDropout else ()
    kept = MaskStream(3).make(AlphaMask, x.shape, 0.25, shared_axes=axes).keep
    # PyTorch's own, with its draw replaced: dropped elements are moved before the affine map.
    lower, p = -1.7580993408473766, 0.25
    a = 1 / np.sqrt((lower**2 * p + 1) * (1 - p))
    noise = torch.from_numpy(np.where(kept, 0.0, a * lower).astype("f4"))
    expected = torch.from_numpy(x) * torch.from_numpy(a * kept.astype("f4")) + noise - a * lower * p
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "rate, error", [(1.5, ValueError), ([0.1, 0.2], TypeError), ("a", TypeError)]
)
def test_bad_rates(rate, error):
    stream = MaskStream(0)
    for make in (AlphaDropout, lambda rate: stream.make(AlphaMask, 2, rate)):
        with pytest.raises(error, match=r"1\.5|0\.1, 0\.2|'a'"):
            make(rate)
    assert stream.next_draw == 0


def test_features_need_channels():
    with pytest.raises(ValueError, match=r"\(5,\)"):
        FeatureAlphaDropout(0.5).forward(np.ones(5), Context())
