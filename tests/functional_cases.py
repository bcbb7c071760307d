"""Every public function of `cydropout.functional` over arrays: how it is called.

The tests of sizes, layouts, kinds of arrays and scalar arguments are made from this table.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cydropout import Mask, dropout, functional
from cydropout.functional import Gradient, StepGroup, Submatrix, Windows


@dataclass
class Case:
    """A function, and ``make(**sizes)``, which gives its arguments by name."""

    call: Callable[..., Any]
    make: Callable[..., dict[str, Any]]
    #: Arrays that are written in place, and must lie as the kernels want them.
    written: tuple[str, ...] = ()
    #: Arrays that must lie so too.
    ready: tuple[str, ...] = ()
    #: Sizes that may not be 0: what is asked for is not defined then.
    positive: tuple[str, ...] = ()
    #: Values out of range, by the name of the argument.
    outside: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def sizes(self) -> list[str]:
        """Return the names of the sizes."""
        return [*inspect.signature(self.make).parameters]


def numbers(*shape: int, seed: int = 0, dtype: Any = "f8") -> np.ndarray:
    """Return normal random numbers."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def drawn(*shape: int, rate: float = 0.4) -> Mask:
    """Return a mask of that shape."""
    return Mask(1, 2, shape, rate)


def _windows(n: int = 2, height: int = 5, width: int = 4, channels: int = 3) -> dict[str, Any]:
    counts = max(height - 1, 0), max(width - 2, 0)
    return {"x": numbers(n, height, width, channels),
            "windows": Windows((height, width), (2, 3), (1, 1), (0, 0), counts)}


def _unfolded(n: int = 2, height: int = 5, width: int = 4, channels: int = 3) -> dict[str, Any]:
    given = _windows(n, height, width, channels)
    counts = given["windows"].counts
    return {**given, "out": np.full((n, *counts, 2, 3, channels), np.nan)}


def _folded(n: int = 2, height: int = 5, width: int = 4, channels: int = 3) -> dict[str, Any]:
    given = _unfolded(n, height, width, channels)
    return {"windowed": numbers(*given["out"].shape), "windows": given["windows"],
            "out": np.full_like(given["x"], np.nan)}


def _pooled(n: int = 2, height: int = 5, width: int = 4, channels: int = 3) -> dict[str, Any]:
    windows = _windows(n, height, width, channels)["windows"]
    return {"dy": numbers(n, *windows.counts, channels), "windows": windows}


def _max_pooled(n: int = 2, height: int = 5, width: int = 4, channels: int = 3) -> dict[str, Any]:
    given = _pooled(n, height, width, channels)
    return {**given, "at": np.full(given["dy"].shape, 4, np.uint8)}


def _columns(n: int = 4, columns: int = 3) -> dict[str, Any]:
    return {"x": numbers(n, columns), "mean": numbers(columns), "variance": np.ones(columns),
            "gamma": numbers(columns, seed=1), "beta": numbers(columns, seed=2), "epsilon": 1e-3}


def _columns_backward(n: int = 4, columns: int = 3) -> dict[str, Any]:
    return {"dy": numbers(n, columns, seed=3),
            "done": functional.normalise(**_columns(n, columns))[1]}


def _fused(n: int = 3, units: int = 5) -> dict[str, Any]:
    return {"z": numbers(n, units), "bias": numbers(units), "activation": "tanh",
            "mask": drawn(n, units)}


def _standout(n: int = 3, units: int = 5) -> dict[str, Any]:
    return {"z": numbers(n, units), "r": numbers(n, units, seed=1), "activation": "tanh"}


def _connected(n: int = 3, inputs: int = 4, units: int = 5) -> dict[str, Any]:
    return {"x": numbers(n, inputs), "weight": numbers(inputs, units),
            "mask": drawn(n, inputs, units)}


def _connected_once(n: int = 3, inputs: int = 4, units: int = 5) -> dict[str, Any]:
    return {**_connected(n, inputs, units), "mask": drawn(inputs, units)}


def _table(n: int = 3, rows: int = 6, columns: int = 5) -> dict[str, Any]:
    return {"table": numbers(rows, columns), "index": np.arange(n) % max(rows, 1),
            "mask": Mask(1, 2, (rows, columns), 0.4, shared_axes=1)}


def _scattered(n: int = 3, rows: int = 6, columns: int = 5) -> dict[str, Any]:
    given = _table(n, rows, columns)
    return {"dy": numbers(given["index"].size, columns), "index": given["index"],
            "out": numbers(rows, columns, seed=1), "mask": given["mask"]}


def _rows(n: int = 3, features: int = 5) -> dict[str, Any]:
    return {"x": numbers(n, features), "weight": numbers(features),
            "bias": numbers(features, seed=1)}


def _rows_backward(n: int = 3, features: int = 5) -> dict[str, Any]:
    given = _rows(n, features)
    statistics = np.ones((n, 2)) if not features else functional.layer_norm(**given)[1]
    return {"dy": numbers(n, features, seed=4), "x": given["x"], "statistics": statistics,
            "weight": given["weight"]}


def _cell(kind: str) -> Callable[..., dict[str, Any]]:
    gates = {"tanh": 1, "lstm": 4, "gru": 3}[kind]

    def make(n: int = 2, steps: int = 3, units: int = 4) -> dict[str, Any]:
        shape = n, steps, units
        given = {"cell": kind, "z": numbers(n, steps, gates * units),
                 "weight": numbers(units, gates * units), "bias": numbers(gates * units),
                 "h0": numbers(n, units), "hidden": drawn(*shape), "zoneout_h": drawn(*shape)}
        if kind == "gru":
            given["inner_bias"] = numbers(units)
        if kind == "lstm":
            given |= {"c0": numbers(n, units, seed=1), "update": drawn(*shape)}
        return given

    return make


def _cell_backward(kind: str) -> Callable[..., dict[str, Any]]:
    def make(n: int = 2, steps: int = 3, units: int = 4) -> dict[str, Any]:
        done = functional.recurrence(**_cell(kind)(n, steps, units))
        return {"dy": numbers(n, steps, units, seed=5), "done": done}

    return make


def _gated(n: int = 3, units: int = 5) -> dict[str, Any]:
    names = "previous", "forget", "gate", "candidate"
    return {**{name: numbers(n, units, seed=i) for i, name in enumerate(names)},
            "mask": drawn(n, units)}


def _scores(n: int = 2, queries: int = 3, keys: int = 4) -> dict[str, Any]:
    return {"scores": numbers(n, queries, keys), "mask": drawn(n, queries, keys),
            "attention_mask": numbers(queries, keys) > -1, "scale": 0.5}


def _scores_backward(n: int = 2, queries: int = 3, keys: int = 4) -> dict[str, Any]:
    given = _scores(n, queries, keys)
    return {"dy": numbers(n, queries, keys, seed=1), **given,
            "statistics": functional.softmax_dropout(**given)[1]}


def _part(height: int = 5, width: int = 6) -> dict[str, Any]:
    part = Submatrix((height, width), np.arange(0, height, 2), np.arange(0, width, 3))
    return {"x": numbers(height, width), "submatrix": part, "scale": 2.0}


def _scattered_part(height: int = 5, width: int = 6) -> dict[str, Any]:
    given = _part(height, width)
    return {"block": numbers(*given["submatrix"].block_shape), "out": given["x"],
            "submatrix": given["submatrix"], "scale": 2.0}


def _step(states: str, **settings: Any) -> Callable[..., dict[str, Any]]:
    def make(rows: int = 3, columns: int = 5) -> dict[str, Any]:
        shape = rows, columns
        return {"param": numbers(*shape), "grad": numbers(*shape, seed=1),
                **{name: numbers(*shape, seed=2) ** 2 for name in states.split()}, **settings}

    return make


def _any_step(kind: str, param: Any, grad: Any, **rule: Any) -> None:
    functional.optimizer_step(kind, param, Gradient(grad), **rule)


def _group_step(kind: str, param: Any, grad: Any, **rule: Any) -> None:
    StepGroup([(param,)]).step(kind, [Gradient(grad)], **rule)


_RULE = {"lr": (-1e-3, np.inf, np.nan), "beta1": (-0.1, 1.0, np.nan), "beta2": (1, 3, np.nan),
         "epsilon": (-1e-8, np.inf), "step": (0, -1, 1.5, 2**70), "weight_decay": (-1, np.nan),
         "momentum": (1.0, -0.5), "rho": (1.0, np.nan), "max_norm": (0.0, -1.0, np.inf)}
_DONE = ("param", "grad", "m", "v", "velocity")


def _outside(*names: str) -> dict[str, tuple[Any, ...]]:
    return {name: _RULE[name] for name in names}


CASES = {
    "moments": Case(functional.moments, lambda n=4, columns=3: {"x": numbers(n, columns)},
                    ready=("x",)),
    "normalise": Case(functional.normalise, _columns, ready=("x",), outside={"epsilon": (-1.0,)}),
    "normalise_backward": Case(functional.normalise_backward, _columns_backward, ready=("dy",)),
    "bias_activation_dropout": Case(functional.bias_activation_dropout, _fused,
                                    outside={"a": (0.0, -1.0, np.inf)}),
    "bias_activation_dropout_backward": Case(
        functional.bias_activation_dropout_backward,
        lambda n=3, units=5: {"dy": numbers(n, units, seed=2), **_fused(n, units)},
        outside={"a": (0.0, np.nan)}),
    "unfold": Case(functional.unfold, _unfolded, ("out",), ("x",)),
    "fold": Case(functional.fold, _folded, ("out",), ("windowed",)),
    "max_pool": Case(functional.max_pool, _windows, ready=("x",)),
    "max_pool_backward": Case(functional.max_pool_backward, _max_pooled, ready=("dy", "at")),
    "mean_pool": Case(functional.mean_pool, _windows, ready=("x",)),
    "mean_pool_backward": Case(functional.mean_pool_backward, _pooled, ready=("dy",)),
    "softmax_cross_entropy": Case(
        functional.softmax_cross_entropy,
        lambda n=4, classes=3: {
            "logits": numbers(n, classes), "labels": np.arange(n) % max(classes, 1)},
        positive=("n", "classes")),
    "mean_squared_error": Case(
        functional.mean_squared_error,
        lambda n=4, units=3: {
            "prediction": numbers(n, units), "target": numbers(n, units, seed=1)},
        positive=("n", "units")),
    "l2_penalty": Case(functional.l2_penalty, lambda n=3, units=5: {
        "w": numbers(n, units), "gradient": numbers(n, units, seed=1), "strength": 0.5},
        ("gradient",), (), (), {"strength": (-1.0, np.nan)}),
    "dropconnect": Case(functional.dropconnect, _connected),
    "dropconnect-once": Case(functional.dropconnect, _connected_once),
    "dropconnect_backward": Case(
        functional.dropconnect_backward,
        lambda n=3, inputs=4, units=5: {
            "dy": numbers(n, units, seed=1), **_connected(n, inputs, units)}),
    "dropconnect_backward-once": Case(
        functional.dropconnect_backward,
        lambda n=3, inputs=4, units=5: {
            "dy": numbers(n, units, seed=1), **_connected_once(n, inputs, units)}),
    "dropout": Case(dropout, lambda n=3, units=5: {"x": numbers(n, units), "rate": 0.4, "rng": 1},
                    outside={"rate": (-0.1, 1.5, np.nan)}),
    "dropout-rates": Case(
        dropout, lambda n=3, units=5: {
            "x": numbers(n, units), "rate": np.linspace(0.2, 0.6, units), "rng": 1}),
    "dropout-shared": Case(
        dropout,
        lambda n=3, units=5: {"x": numbers(n, units), "rate": 0.4, "rng": 1, "shared_axes": (0,)}),
    "gather": Case(functional.gather, _table, positive=("rows",)),
    "scatter_add": Case(functional.scatter_add, _scattered, ("out",), positive=("rows",)),
    "layer_norm": Case(functional.layer_norm, _rows, positive=("features",),
                       outside={"epsilon": (0.0, -1.0, np.inf)}),
    "layer_norm_backward": Case(functional.layer_norm_backward, _rows_backward,
                                positive=("features",)),
    "gated_update": Case(functional.gated_update, _gated),
    "gated_update_backward": Case(
        functional.gated_update_backward,
        lambda n=3, units=5: {"dy": numbers(n, units, seed=9), **_gated(n, units)}),
    "softmax_dropout": Case(functional.softmax_dropout, _scores,
                            outside={"scale": (np.inf, np.nan)}),
    "softmax_dropout_backward": Case(functional.softmax_dropout_backward, _scores_backward,
                                     outside={"scale": (np.inf, np.nan)}),
    "standout": Case(functional.standout, lambda n=3, units=5: {**_standout(n, units), "rng": 1},
                     outside={"alpha": (np.inf,), "beta": (np.nan,)}),
    "standout_backward": Case(
        functional.standout_backward,
        lambda n=3, units=5: {"dy": numbers(n, units, seed=2), **_standout(n, units),
                              "mask": drawn(n, units)},
        outside={"alpha": (np.inf,), "beta": (np.nan,)}),
    "gather_submatrix": Case(functional.gather_submatrix, _part, ready=("x",),
                             outside={"scale": (np.inf, np.nan)}),
    "scatter_submatrix": Case(functional.scatter_submatrix, _scattered_part, ("out",), ("block",),
                              outside={"scale": (np.inf, np.nan)}),
    "zoneout": Case(
        functional.zoneout, lambda n=3, units=5: {
            "new": numbers(n, units), "previous": numbers(n, units, seed=1),
            "mask": drawn(n, units)}),
    "zoneout_backward": Case(
        functional.zoneout_backward,
        lambda n=3, units=5: {"dy": numbers(n, units), "mask": drawn(n, units)}),
    "sgd_step": Case(
        functional.sgd_step,
        _step("velocity", lr=0.1, momentum=0.9, weight_decay=0.01, max_norm=1.0), _DONE,
        outside=_outside("lr", "momentum", "weight_decay", "max_norm")),
    "adam_step": Case(
        functional.adam_step, _step("m v", lr=0.1, beta1=0.9, beta2=0.99, epsilon=1e-8, step=2),
        _DONE, outside=_outside("lr", "beta1", "beta2", "epsilon", "step", "weight_decay")),
    "rmsprop_step": Case(functional.rmsprop_step, _step("v", lr=0.1, rho=0.9, epsilon=1e-8), _DONE,
                         outside=_outside("lr", "rho", "epsilon")),
    "optimizer_step": Case(_any_step, _step("", kind="sgd", learning_rate=0.1), _DONE,
                           outside={"learning_rate": (-1.0, np.inf), "beta1": (1.0, 3)}),
    "StepGroup.step": Case(_group_step, _step("", kind="sgd", learning_rate=0.1), _DONE,
                           outside={"learning_rate": (-1.0, np.inf), "decay": (-1.0, np.nan)}),
    **{f"recurrence-{kind}": Case(functional.recurrence, _cell(kind), ("z",))
       for kind in ("tanh", "lstm", "gru")},
    **{f"recurrence_backward-{kind}": Case(functional.recurrence_backward, _cell_backward(kind))
       for kind in ("tanh", "lstm", "gru")},
    "adam_rule": Case(
        functional.adam_rule,
        lambda: {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "step": 3},
        outside=_outside("lr", "beta1", "beta2", "epsilon", "step")),
    "AttentionMask": Case(
        functional.AttentionMask,
        lambda n=2, queries=3, keys=4: {
            "seen": numbers(queries, keys) > 0, "shape": (n, queries, keys)}),
    "Submatrix": Case(
        Submatrix, lambda height=5, width=6: {
            "shape": (height, width), "rows": np.arange(0, height, 2),
            "columns": np.arange(0, width, 3)}),
}

#: What has no arrays, or only ones that another of them checks.
OTHERS = {"ACTIVATIONS", "Gradient", "Recurrence", "StepGroup", "Windows", "available_cores",
          "get_num_threads", "set_num_threads", "shared_threads", "show_config",
          "reused_memory"}


def arrays_of(given: dict[str, Any]) -> list[str]:
    """Return the names of the arguments that are arrays."""
    return [name for name, value in given.items() if isinstance(value, np.ndarray)]


def bytes_of(given: dict[str, Any]) -> dict[str, bytes]:
    """Return what the arguments that are arrays hold."""
    return {name: given[name].tobytes() for name in arrays_of(given)}


def results(value: Any) -> list[np.ndarray]:
    """Return all arrays and numbers of a result, one after another."""
    if isinstance(value, (np.ndarray, float, int)):
        return [np.asarray(value)]
    value = value.values() if isinstance(value, dict) else value
    if isinstance(value, Submatrix):
        value = value.settings
    if isinstance(value, functional.AttentionMask):
        return [value.which]
    return [one for part in value for one in results(part)] if np.iterable(value) else []
