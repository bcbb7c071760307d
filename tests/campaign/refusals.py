"""Random calls with an odd argument: a result, or a refusal by name with nothing changed."""

from __future__ import annotations

import contextlib
import copy
import inspect
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from draws import Draws
from functional_cases import CASES, bytes_of
from mask_cases import MASKS
from training_cases import assert_same_bits, state, trainer

from cydropout.training.monte_carlo import predict_mc
from cydropout.training.nonfinite import NonFiniteLossError

TABLE = {**CASES, **MASKS}
X = np.random.default_rng(0).normal(size=(20, 12)).astype("f4")
Y = np.arange(20) % 3
#: Arguments of the trainer, with what may not be drawn: numbers of epochs and passes without end.
CALLS: dict[str, dict[str, Any]] = {
    "fit": {"x": X, "y": Y, "epochs": 1, "batch_size": 7, "progress": False},
    "evaluate": {"x": X, "y": Y},
    "predict": {"x": X},
    "predict_mc": {"x": X, "samples": 2},
}
ENDLESS = {"epochs", "samples", "progress"}
#: What else says which argument a refusal is about.
WORDS = {"x": "input features", "y": "label", "labels": "label", "rng": "a seed",
         "grad": "Gradient", "seen": "attention_mask",
         **dict.fromkeys(("velocity", "m", "v"), "state")}


def odd(d: Draws, own: Any) -> Any:
    """Return something that an argument may hardly be, or its own value in another form."""
    others = [
        None, True, -1, 0, 1, 3, 2**31, 2**64, -(2**70), 0.5, -0.5, 1.5, np.nan, np.inf, 1j, "",
        "x", b"x", [], (), {}, {"x": 1}, [[1], [1, 2]], object(), len, type, ..., slice(2),
        np.float16(0.5), np.int8(3), np.datetime64("nat"), np.zeros(0), np.array(0.5),
        np.array(["a"]), np.array([None]), np.array([1j]), np.ones((3, 4), bool),
        np.ones((2, 3, 4, 5), "f2"), np.full((4, 3), np.nan), np.zeros((0, 3)),
        np.zeros((3, 0, 2), "i8"), np.ma.ones(3), np.zeros(3, [("a", "i4")]),
    ]
    if not isinstance(own, np.ndarray) or d.one_of(True, False):
        return d.pick(others)
    return d.pick([
        lambda: own[:-1], lambda: own[..., :0], lambda: own[None], lambda: own.ravel(),
        lambda: own.astype(d.one_of("f2", "f4", "f8", "i8", "u1", "c8", "O", "U9")),
        lambda: own.tolist(), lambda: own + 1, lambda: own * 3, lambda: own * np.nan,
        lambda: np.broadcast_to(own[..., :1], own.shape), lambda: own.swapaxes(0, -1),
        lambda: d.laid(own),
    ])()


def refused(call: Callable[[], Any], names: list[str]) -> bool:
    """Call; a refusal is a TypeError or ValueError that says which argument it is about."""
    try:
        with contextlib.suppress(NonFiniteLossError):  # no refusal: it ends a run that has begun
            call()
    except (TypeError, ValueError) as error:
        text = str(error)
        assert any(name in text or WORDS.get(name, name) in text for name in names), (
            f"of {names}: {error!r}")
        return True
    return False


def spoilt(d: Draws, given: dict[str, Any], call: Callable[..., Any]) -> tuple[dict[str, Any], str]:
    """Return the arguments with an odd one among them, and its name."""
    names = [*dict.fromkeys([*given, *(
        p.name for p in inspect.signature(call).parameters.values() if p.kind < p.VAR_POSITIONAL
        or p.kind == p.KEYWORD_ONLY)])]
    name = d.one_of(*names)
    with np.errstate(all="ignore"):
        return {**given, name: odd(d, given.get(name))}, name


def odd_arguments(d: Draws) -> None:
    """Call a function or make a mask, of which one argument is odd."""
    case = TABLE[d.one_of(*TABLE)]
    given, name = spoilt(d, case.make(), case.call)
    before = bytes_of(given)
    if refused(lambda: case.call(**given), [*given, name]):
        assert bytes_of(given) == before, f"{name}: refused, and changed what it was given"


def odd_training(d: Draws) -> None:
    """Train or predict with an odd argument; what is refused leaves the trainer as it was."""
    made, kind = trainer(rng=1), d.one_of(*CALLS)
    made.model.build((12,), 0)
    if d.one_of(False, True):
        made.fit(X, Y, epochs=1, batch_size=7, progress=False)
    call = getattr(made, kind, None) or (lambda **given: predict_mc(made.model, **given))
    given, name = spoilt(d, CALLS[kind], call)
    if name in ENDLESS and not isinstance(given[name], (str, type(None), np.ndarray)):
        given[name] = d.pick([0, -1, 1.5, True, [], "x", np.nan])
    if name == "callbacks" and callable(given[name]):
        given[name] = None  # a function is a callback, and fails by itself
    with tempfile.TemporaryDirectory() as folder:
        if name == "checkpoint" and isinstance(given[name], (str, bytes)):
            given[name] = folder
        before = copy.deepcopy(state(made)), len(made.history), bytes_of(given)
        if refused(lambda: call(**given), [*given, name]):
            assert_same_bits(before[0], state(made))
            assert (len(made.history), bytes_of(given)) == before[1:], "changed by a refusal"
