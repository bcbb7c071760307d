"""Arrays of other libraries: what comes by DLPack goes back as it came."""

import numpy as np
import pytest
from functional_cases import numbers
from mask_cases import MASKS

from cydropout import Mask, MaskStream, dropout, masks

FLOATS = ("float16", "bfloat16", "float32", "float64")


class Foreign:
    """A library of one kind of array."""

    def __init__(self, name):
        self.module = pytest.importorskip(name)
        self.array = self.module.asarray

    def dtype(self, name):
        return getattr(self.module, name)


@pytest.fixture(params=["torch", "jax.numpy"])
def foreign(request):
    return Foreign(request.param)


def same(found, expected):
    """Whether a foreign result holds the bits of a NumPy array."""
    shown = np.asarray(found.view(foreign_int(found))) if "bfloat16" in str(found.dtype) else found
    return np.asarray(shown).tobytes() == np.ascontiguousarray(expected).tobytes()


def foreign_int(found):
    namespace = getattr(found, "__array_namespace__", None)
    return namespace().int16 if namespace else pytest.importorskip("torch").int16


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_returns_the_callers_kind(foreign, name):
    mask = MASKS[name].call(**MASKS[name].make())
    x = numbers(*mask.shape, dtype="f4")
    given = foreign.array(x)
    y = mask.apply(given)
    assert type(y) is type(given)
    assert same(y, mask.apply(x))
    dy = mask.apply(x)
    dx = mask.backward(foreign.array(dy))
    assert type(dx) is type(given)
    assert same(dx, mask.backward(dy))
    assert same(given, x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("options", [{}, {"shared_axes": 0}, {"scaling": "classic"}], ids=str)
def test_dropout_returns_the_callers_kind(foreign, dtype, options):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    if dtype == "float64" and foreign.module.__name__ == "jax.numpy":
        pytest.skip("JAX has no float64 unless it is told so")
    given = foreign.module.asarray(numbers(5, 70, dtype="f4"), dtype=foreign.dtype(dtype))
    x = numbers(5, 70, dtype="f4").astype(getattr(ml_dtypes, dtype, dtype))
    y = dropout(given, 0.3, rng=5, **options)
    assert type(y) is type(given) and y.dtype == given.dtype
    assert same(y, dropout(x, 0.3, rng=5, **options))
    mean = dropout(given, 0.3, training=False, **options)
    assert same(mean, dropout(x, 0.3, training=False, **options))
    assert (mean is given) == ("scaling" not in options)


def test_a_strided_one_and_an_empty_one(foreign):
    x = numbers(6, 8, dtype="f4")
    assert same(dropout(foreign.array(x)[::2, ::3], 0.5, rng=0), dropout(x[::2, ::3], 0.5, rng=0))
    assert dropout(foreign.array(x)[:0], 0.5, rng=0).shape == (0, 8)


def test_the_result_goes_into_an_array_of_numpy(foreign):
    x = numbers(4, 3, dtype="f4")
    out = np.full_like(x, np.nan)
    assert dropout(foreign.array(x), 0.5, rng=0, out=out) is out
    np.testing.assert_array_equal(out, dropout(x, 0.5, rng=0))
    with pytest.raises(TypeError, match="out must be a NumPy array"):
        dropout(x, 0.5, rng=0, out=foreign.array(out))


def test_integers_are_refused_and_take_no_draw(foreign):
    stream = MaskStream(0)
    with pytest.raises(TypeError, match="int32"):
        dropout(foreign.array(np.ones(3, "i4")), 0.5, rng=stream)
    with pytest.raises(ValueError, match="x has shape"):
        stream.draw(4, 0.5).apply(foreign.array(np.ones(3, "f4")))
    assert stream.next_draw == 1


def test_a_tensor_that_requires_grad_is_sent_to_the_face_for_pytorch():
    torch = pytest.importorskip("torch")
    x = torch.ones(4, requires_grad=True)
    for call in (lambda: dropout(x, 0.5), lambda: Mask(1, 0, 4, 0.5).apply(x),
                 lambda: masks.InferenceMask(4, 0.5).apply(x)):
        with pytest.raises(TypeError, match=r"cydropout\.torch.*detach"):
            call()
    assert dropout(x.detach(), 0.5, rng=0).tolist() == dropout(np.ones(4), 0.5, rng=0).tolist()


class Elsewhere:
    """An array in the memory of a GPU."""

    dtype = "float32"

    def __dlpack__(self, **_):
        raise AssertionError("not asked for")

    def __dlpack_device__(self):
        return 2, 0


def test_an_array_that_a_cpu_does_not_hold_is_refused():
    with pytest.raises(TypeError, match=r"Elsewhere on DLPack's device \(2, 0\)"):
        dropout(Elsewhere(), 0.5)


def test_an_array_without_memory_is_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"x is a torch\.Tensor without memory .*meta"):
        dropout(torch.ones(3, device="meta"), 0.5)
    jax = pytest.importorskip("jax")
    with pytest.raises(TypeError, match=r"Tracer without memory"):
        jax.jit(lambda x: dropout(x, 0.5))(jax.numpy.ones(3))


def test_a_library_that_cannot_take_it_back_is_named():
    class Mine(Elsewhere):
        def __dlpack_device__(self):
            return 1, 0

    Mine.__module__ = "json"
    with pytest.raises(TypeError, match=r"json makes no array.*numpy\.from_dlpack"):
        dropout(Mine(), 0.5)
