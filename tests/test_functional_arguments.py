"""Every argument of every function and mask: layouts of arrays, masked arrays, wrong scalars."""

import inspect

import functional_cases
import numpy as np
import pytest
from functional_cases import CASES, OTHERS, arrays_of, bytes_of, results
from mask_cases import MASKS
from numpy.lib.stride_tricks import as_strided
from reference import misaligned
from test_validate import SCALARS, WRONG, kinds

from cydropout import Mask, MaskStream, dropout, functional, masks
from cydropout._kernels import api
from cydropout.layers import Context, Dropout

TABLE = {**CASES, **{f"mask {name}": case for name, case in MASKS.items()}}
ARRAYS = [
    (name, argument) for name, case in TABLE.items() for argument in arrays_of(case.make())
]


LAYOUTS = {
    "misaligned": misaligned,
    "reversed": lambda x: np.flip(np.flip(x).copy()),
    "fortran": lambda x: np.array(x, order="F"),
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "swapped": lambda x: x.astype(x.dtype.newbyteorder("S")),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


def names(argument, error):
    """Whether an error says which argument it is about; states of a step are counted."""
    other = {"seen": "attention_mask"}.get(argument, "states")
    return argument in str(error) or (
        argument in ("seen", "velocity", "m", "v") and other in str(error))


def outcome(case, given):
    """What a call gives, and leaves behind in the arrays that it was given."""
    found = results(case.call(**given))
    return [np.asarray(one) for one in (*found, *(given[name] for name in arrays_of(given)))]


def made(case, given):
    """What a mask does, or a function gives."""
    if case not in MASKS.values():
        return outcome(case, given)
    mask = case.call(**given)
    y = mask.apply(functional_cases.numbers(*mask.shape))
    return [y, mask.backward(y)]


def test_the_tables_name_all_that_is_public():
    found = {name.partition("-")[0].partition(".")[0] for name in CASES}
    assert set(functional.__all__) <= found | OTHERS
    kinds_of = {name.partition("-")[0].partition(".")[0] for name in MASKS}
    bases = {"BaseMask", "BitMask", "NoiseMask", "RegionMask"}
    assert {name for name in masks.__all__ if name.endswith("Mask")} == kinds_of | bases


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name, argument", ARRAYS)
def test_any_layout_is_right_or_refused(name, argument, layout):
    case = TABLE[name]
    want, given = made(case, case.make()), case.make()
    given[argument] = LAYOUTS[layout](given[argument])
    before = bytes_of(given)
    try:
        got = made(case, given)
    except (TypeError, ValueError) as error:
        assert argument in (*case.written, *case.ready), error
        assert names(argument, error)
        assert bytes_of(given) == before
        return
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name, argument", ARRAYS)
def test_masked_arrays_are_refused(name, argument):
    case, given = TABLE[name], TABLE[name].make()
    given[argument] = np.ma.masked_array(given[argument])
    before = bytes_of(given)
    with pytest.raises(TypeError, match="masked array"):
        case.call(**given)
    assert bytes_of(given) == before


@pytest.mark.parametrize("wrong", [{}, "x", [[1.0], [1.0, 2.0]], np.array(["x"]), None],
                         ids=["dict", "string", "ragged", "strings", "None"])
@pytest.mark.parametrize("name, argument", ARRAYS)
def test_what_is_no_array_is_refused_by_name(name, argument, wrong):
    case, given = TABLE[name], TABLE[name].make()
    own = inspect.signature(case.call).parameters[argument]
    if wrong is None and (own.default is None or "None" in str(own.annotation)):
        return
    given[argument] = wrong
    before = bytes_of(given)
    with pytest.raises((TypeError, ValueError)) as caught:
        made(case, given)
    assert names(argument, caught.value), caught.value
    assert wrong is given[argument] and bytes_of(given) == before


@pytest.mark.parametrize("wrong", [
    np.ones(3), None, ((4, 4), (2, 2), (1, 1), (0, 0), (2, 2)),
    functional.Windows([4, 4], (2, 2), (1, 1), (0, 0), (2, 2)),
    functional.Windows((4, 4), 2, (1, 1), (0, 0), (2, 2)),
    functional.Windows((4, 4), (2, 2, 2), (1, 1), (0, 0), (2, 2)),
], ids=["array", "None", "tuple", "lists", "number", "three"])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "windows" in case.make()])
def test_other_things_than_windows_are_refused(name, wrong):
    with pytest.raises(TypeError, match="windows"):
        CASES[name].call(**{**CASES[name].make(), "windows": wrong})


@pytest.mark.parametrize("name", MASKS)
def test_masks_refuse_masked_arrays(name):
    mask = MASKS[name].call(**MASKS[name].make())
    wrong = np.ma.masked_array(np.ones(mask.shape))
    with pytest.raises(TypeError, match="masked array"):
        mask.apply(wrong)
    with pytest.raises(TypeError, match="masked array"):
        mask.backward(np.ma.masked_array(mask.apply(np.ones(mask.shape))))
    if hasattr(mask, "gradients"):
        for pair in ((wrong, wrong.data), (wrong.data, wrong)):
            with pytest.raises(TypeError, match="masked array"):
                mask.gradients(*pair)
    if isinstance(mask, Mask):
        with pytest.raises(TypeError, match="masked array"):
            mask.with_keep(wrong > 0)


def scalars():
    for name, case in TABLE.items():
        given = case.make()
        signature = inspect.signature(case.call, eval_str=True)
        for argument, parameter in signature.parameters.items():
            found = kinds(parameter.annotation)
            allowed = found - {type(None)}
            if allowed <= SCALARS:
                for wrong, value in WRONG.items():
                    if (wrong == "None" and type(None) in found) or (
                        wrong == "bool" and bool in allowed
                    ):
                        continue
                    yield pytest.param(name, argument, value, id=f"{name}-{argument}-{wrong}")
        for argument, values in case.outside.items():
            assert {argument, "rule"} & {*given, *signature.parameters}
            for value in (*values, True, "1e-3", None):
                if value is not None or argument not in ("max_norm",):
                    yield pytest.param(name, argument, value, id=f"{name}-{argument}={value}")


SCALAR_CASES = [*scalars()]


def test_the_table_of_scalars_is_not_empty():
    assert len(SCALAR_CASES) > 500


@pytest.mark.parametrize("name, argument, value", SCALAR_CASES)
def test_wrong_scalars_are_refused_by_name(name, argument, value):
    case, given = TABLE[name], TABLE[name].make()
    before = bytes_of(given)
    with pytest.raises((TypeError, ValueError)) as caught:
        case.call(**{**given, argument: value})
    assert argument in str(caught.value), caught.value
    shown = ("array", "shape") if isinstance(value, np.ndarray) else (str(value),)
    assert any(text in str(caught.value) for text in shown), caught.value
    assert bytes_of(given) == before


MASK_ARGUMENTS = [
    (name, argument) for name, case in CASES.items() for argument, value in case.make().items()
    if isinstance(value, (masks.BaseMask, functional.Submatrix))
]


@pytest.mark.parametrize("name, argument", MASK_ARGUMENTS)
@pytest.mark.parametrize("wrong", ["x", 3, np.ones((3, 5), bool), [True], masks, object])
def test_other_things_than_masks_are_refused(name, argument, wrong):
    case, given = CASES[name], CASES[name].make()
    before = bytes_of(given)
    with pytest.raises(TypeError, match="mask|submatrix"):
        case.call(**{**given, argument: wrong})
    assert bytes_of(given) == before


def overlapping(shape, dtype):
    base = np.arange(10 + sum(shape)).astype(dtype)
    return as_strided(base, shape, [base.itemsize * (1 + place) for place in range(len(shape))])


OUTS = {
    "dropout": lambda x, out: dropout(x, 0.5, out=out),
    "dropout-0": lambda x, out: dropout(x, 0.0, out=out),
    "dropout-mean": lambda x, out: dropout(x, 0.5, out=out, training=False, scaling="classic"),
    "bias_activation_dropout": lambda x, out: functional.bias_activation_dropout(
        x, None, "relu", None, out=out),
    "bias_activation_dropout_backward": lambda x, out: functional.bias_activation_dropout_backward(
        x, x, None, "relu", None, out=out),
    "softmax_dropout": lambda x, out: functional.softmax_dropout(x, out=out),
    **{f"{kind} {name}": lambda x, out, kind=kind, name=name: getattr(
        MASKS[name].call(**{**MASKS[name].make(), "shape": x.shape}), kind)(x, out=out)
       for name in ("Mask", "InferenceMask", "AlphaMask", "GaussianMask", "ConcreteMask",
                    "HeadMask", "ScaleMask", "BlockMask") for kind in ("apply", "backward")},
}


@pytest.mark.parametrize("shape", [(4, 4, 3, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize("name", OUTS)
def test_an_out_that_overlaps_itself_is_refused(name, shape):
    out = overlapping(shape, "f4")
    before = out.tobytes()
    for x in (np.ones(shape, "f4"), out):
        with pytest.raises(ValueError, match="out has elements that share memory"):
            OUTS[name](x, out)
    assert out.tobytes() == before


@pytest.mark.parametrize("name, argument", [
    (name, argument) for name, case in CASES.items() for argument in case.written
    if argument in case.make() and argument not in ("grad",)
])
def test_arrays_that_are_written_may_not_overlap(name, argument):
    case, given = CASES[name], CASES[name].make()
    given[argument] = as_strided(given[argument], given[argument].shape, [
        0, *given[argument].strides[1:]])
    before = bytes_of(given)
    with pytest.raises(ValueError, match="contiguous|in C order|share"):
        case.call(**given)
    assert bytes_of(given) == before


@pytest.mark.parametrize("view, shares", [
    (lambda x: x, False), (lambda x: x.T, False), (lambda x: x[::-1, ::2], False),
    (lambda x: x[:, :1], False), (lambda x: x[:0], False), (lambda x: x[None, :, None], False),
    (lambda x: np.einsum("ii->i", x), False), (lambda x: x.astype("c16").real, False),
    (lambda x: np.broadcast_to(x[:1], x.shape), True), (lambda x: as_strided(x, (3, 3)), False),
    (lambda x: np.broadcast_to(x[:1], (1, 4)), False),
    (lambda x: as_strided(x.ravel(), (3, 3), (8, 16)), True),
    (lambda x: as_strided(x[-1:], (4, 2), (-32, 8)), False),
    (lambda x: np.lib.stride_tricks.sliding_window_view(x.ravel(), 3), True),
])
def test_what_overlaps_itself(view, shares):
    from cydropout._arrays import overlaps_itself

    assert overlaps_itself(view(np.ones((4, 4)))) == shares


def test_states_share_no_memory():
    w, m = np.ones(4), np.zeros(4)
    for states in ((m, m), (w, m), (m, w)):
        with pytest.raises(ValueError, match="shares memory"):
            functional.adam_step(
                w, np.ones(4), *states, lr=0.1, beta1=0.9, beta2=0.9, epsilon=1e-8, step=1)
        with pytest.raises(ValueError, match="shares memory"):
            functional.StepGroup([(w, *states)])
    assert (w == 1).all() and (m == 0).all()


@pytest.mark.parametrize("axes, right", [(1, (1,)), ((1,), (1,)), (-1, (1,)), ([0, 1], (0, 1))])
def test_shared_axes_in_the_function(axes, right):
    x = np.ones((6, 8))
    y = dropout(x, 0.5, rng=0, shared_axes=axes)
    np.testing.assert_array_equal(y, MaskStream(0).draw((6, 8), 0.5, shared_axes=right).apply(x))
    layer = Dropout(0.5, shared_axes=axes)
    np.testing.assert_array_equal(y, layer.forward(x, Context(True, MaskStream(0)))[0])


@pytest.mark.parametrize("axes", [(1.5,), 1.5, "1", (True,), None, ("1",), 2, (0, -3)])
def test_wrong_shared_axes_are_refused(axes):
    with pytest.raises((TypeError, ValueError), match="shared_axes"):
        dropout(np.ones((6, 8)), 0.5, rng=0, shared_axes=axes)
    with pytest.raises((TypeError, ValueError), match="shared_axes"):
        MaskStream(0).draw((6, 8), 0.5, shared_axes=axes)


@pytest.mark.parametrize("maps", [(-1, 2), (2.5, 2), (2**40, 2)])
@pytest.mark.parametrize("field", functional.Windows._fields)
def test_windows_are_checked(field, maps):
    x = np.ones((1, 4, 4, 1))
    windows = functional.Windows((4, 4), (2, 2), (1, 1), (0, 0), (3, 3))._replace(**{field: maps})
    with pytest.raises((TypeError, ValueError), match="windows"):
        functional.max_pool(x, windows)
    with pytest.raises((TypeError, ValueError), match="windows"):
        functional.unfold(x, windows, np.empty((1, 3, 3, 2, 2, 1)))


@pytest.mark.parametrize("wrong", [
    misaligned(np.ones(8)), np.ones((8, 2))[:, 0], np.ones(8, ">f8"), None])
def test_kernels_take_no_array_that_they_cannot_read(wrong):
    y = np.ones(8)
    plan = api.Plan(0, 0, 0, 8, (2**31, 2.0), False)
    for call in (
        lambda: api.dropout(0, 0, 0.5, wrong, y, 3), lambda: api.dropout(0, 0, 0.5, y, wrong, 3),
        lambda: plan.apply(wrong, y, 3), lambda: plan.apply(y, wrong, 3),
        lambda: api.gather(y, wrong, y, 1, 3), lambda: api.softmax(
            y, y, wrong, None, None, None, False, 1.0, 1.0, 3),
        lambda: api.wrong_label(wrong, 3), lambda: api.repeated(wrong, 9) if wrong is not None
        else plan.set_bits(wrong),
    ):
        with pytest.raises(ValueError, match="contiguous, aligned and native"):
            call()
    assert (y == 1).all()


OFFSETS = [name for name, case in MASKS.items()
           if {"key", "offset"} <= {*inspect.signature(case.call).parameters}]


@pytest.mark.parametrize("name", OFFSETS)
def test_no_offset_gives_what_another_does(name):
    case = MASKS[name]
    x, given = np.ones(case.make(n=64)["shape"]), case.make(n=64)
    found = [case.call(**given).apply(x)]
    for bits in (32, 34, 39, 58, 60, 61, 62, 63):
        try:
            found.append(case.call(**given, offset=2**bits).apply(x))
        except ValueError as error:
            assert bits >= 61 and "at most 2**61" in str(error)
    assert len({y.tobytes() for y in found}) == len(found) >= 6


def test_items_are_chosen_by_words_of_their_own():
    assert masks.subset(0, 0, 1, 8, 4, offset=2**61 - 8).shape == (1, 4)
    with pytest.raises(ValueError, match=r"at most 2\*\*61, not 2305843009213693945 \+ 8"):
        masks.subset(0, 0, 1, 8, 4, offset=2**61 - 7)


@pytest.mark.parametrize("name", [n for n in MASKS if "shape" in MASKS[n].make()])
def test_a_size_beyond_64_bits_is_refused_where_it_is_held(name):
    given = MASKS[name].make()
    rest = given["shape"][1:]
    given["shape"] = (2**64 // int(np.prod(rest)) + 1, *rest)  # little is left of it in 64 bits
    if name in ("Mask-shared", "ColumnMask"):  # which hold no more for more samples
        assert MASKS[name].call(**given).shape == given["shape"]
        return
    with pytest.raises((ValueError, MemoryError), match="too large|does not broadcast|shape"):
        MASKS[name].call(**given)


@pytest.mark.parametrize("wrong", ["x", np.ones(5, "c8"), np.ones(5, object), np.ones(5, int)])
@pytest.mark.parametrize("name", ["bias_activation_dropout", "bias_activation_dropout_backward"])
def test_a_bias_of_no_floats_is_refused(name, wrong):
    with pytest.raises(TypeError, match="bias has dtype"):
        CASES[name].call(**{**CASES[name].make(), "bias": wrong})


@pytest.mark.parametrize("name", ["BlockMask", "WalkMask", "CutoutMask"])
def test_a_region_that_no_memory_holds_is_named_with_its_size(name, monkeypatch):
    case = MASKS[name]

    def bits(self, *args):
        raise MemoryError

    monkeypatch.setattr(case.call, "_bits", bits)
    with pytest.raises(MemoryError, match=rf"a {name} of shape \(2, 3, .* holds .*e-\d+ GiB"):
        case.call(**case.make())
    with pytest.raises(ValueError, match="rate"):
        case.call(**case.make() | {"rate": 2})


def test_a_map_without_end_is_named_with_its_size():
    with pytest.raises(MemoryError, match=r"BlockMask of shape \(1, 1, 1099.* holds 1.41e\+14 GiB"):
        masks.BlockMask(0, 0, (1, 1, 2**40, 2**40), 0.1)


@pytest.mark.parametrize("variance, epsilon", [([-1.0, 1.0], 0.5), ([0.0, 1.0], 0.0)])
def test_a_variance_that_has_no_root_is_refused(variance, epsilon):
    x, ones, zeros = np.ones((2, 2)), np.ones(2), np.zeros(2)
    with pytest.raises(ValueError, match=r"variance \+ epsilon must be above 0"):
        functional.normalise(x, zeros, np.array(variance), ones, zeros, epsilon=epsilon)
    y, _ = functional.normalise(x, zeros, np.array([np.nan, 3.0]), ones, zeros, epsilon=1.0)
    assert np.isnan(y[:, 0]).all() and (y[:, 1] == 0.5).all()


@pytest.mark.parametrize("seen", [True, np.ones(3, bool)])
def test_an_attention_mask_has_keys(seen):
    with pytest.raises(ValueError, match="shape must end with the number of keys"):
        functional.AttentionMask(seen, ())


@pytest.mark.parametrize("rate", [[True, 0.5], (0.5, False), [[0.5], [np.True_]]])
def test_a_bool_is_no_rate_among_others(rate):
    stream = MaskStream(0)
    for call in (
        lambda: dropout(np.ones((2, 2)), rate, rng=stream), lambda: Dropout(rate),
        lambda: stream.draw((2, 2), rate), lambda: masks.GaussianMask(0, 0, (2, 2), sigma=rate),
    ):
        with pytest.raises(TypeError, match="must be a number or an array of numbers"):
            call()
    assert stream.next_draw == 0
