"""Models for inference elsewhere, as ONNX; needs ``cydropout[onnx]``."""

from __future__ import annotations

import os
from collections.abc import Callable
from inspect import unwrap
from typing import Any, NoReturn

import numpy as np

from cydropout import layers
from cydropout._files.replace import replace
from cydropout._optional import require
from cydropout.layers import Context, Layer, Sequential
from cydropout.layers._layer import Array, Shape, check_model, held_noise
from cydropout.layers._wrapper import Identity
from cydropout.layers.dropout._masked import MaskedLayer

__all__ = ["to_onnx"]

OPSET, IR = 20, 9  # since which there is GELU
TRAINING = "training_mode"
ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "selu": "Selu", "gelu": "Gelu",
               "softplus": "Softplus"}


class Graph:
    """The nodes and constants of a model that is being written."""

    def __init__(self, dtype: Any, monte_carlo: bool) -> None:
        self.onnx = require("onnx", "onnx")
        self.dtype, self.monte_carlo = np.dtype(dtype), monte_carlo
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.masks: list[tuple[str, Shape]] = []

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Return the name of an array, in the dtype of the model unless one is given."""
        name = f"constant_{len(self.constants)}"
        array = np.asarray(value, dtype or self.dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array)
                                                                .reshape(array.shape), name))
        return name

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Return the name of the output of a new node, or those of several."""
        names = [f"{kind.lower()}_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def write(self, layer: Layer, x: str, shape: Shape) -> str:
        """Return the output of a layer for samples of ``shape``."""
        kind = type(layer)
        write = WRITERS.get(kind)
        if write is None and unwrap(kind.forward) is MaskedLayer.forward:
            write = _masked
        if write is None:
            _refuse(layer, f"there is no way to write a {kind.__name__}")
        return write(self, layer, x, shape)

    def noise(self, layer: Any, x: str, shape: Shape) -> str:
        """Return x behind the noise of a layer, if the model shall have noise."""
        if not self.monte_carlo or layer.rate == 0:
            return x
        # The masks are outputs: onnxruntime takes a Dropout out whose mask nobody asks for, in
        # training mode too.
        ratio = self.constant(layer.rate, np.float32)
        y, mask = self.add("Dropout", x, ratio, TRAINING, outputs=2)
        self.masks.append((mask, shape))
        return str(y)

    def affine(self, x: str, weight: Array, bias: Array | None) -> str:
        """Return x W + b."""
        z: str = self.add("MatMul", x, self.constant(weight))
        return z if bias is None else self.add("Add", z, self.constant(bias))

    def activate(self, name: str, x: str, a: float = 1.0) -> str:
        """Return an activation of x."""
        if name == "linear":
            return x
        if a == 1.0:
            return str(self.add(ACTIVATIONS[name], x))
        sharp = self.constant(a)
        return str(self.add("Div", self.activate(name, self.add("Mul", x, sharp)), sharp))


def _refuse(layer: Layer, why: str) -> NoReturn:
    raise TypeError(f"{layer.path} cannot be exported to ONNX: {why}")


def _values(layer: Layer) -> dict[str, Array]:
    return {name: parameter.value for name, parameter in layer.named_parameters()}


def _masked(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    if graph.monte_carlo:
        return graph.noise(layer, x, shape)
    # At inference a mask is one factor for each element, and for most of them it is 1.
    factors = layer.mask((1, *shape), Context()).apply(np.ones((1, *shape)))
    return x if (factors == 1).all() else str(graph.add("Mul", x, graph.constant(factors)))


def _same(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    return x


def _chain(graph: Graph, model: Any, x: str, shape: Shape) -> str:
    for layer in model.layers:
        x, shape = graph.write(layer, x, shape), layer.output_shape(shape)
    return x


def _inside(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    return graph.write(layer.layer, x, shape)


def _residual(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    return str(graph.add("Add", x, graph.write(layer.layer, x, shape)))


def _activation(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    return graph.activate(layer.function, x, layer.a)


def _dense(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    own = _values(layer)
    return graph.activate(layer.activation, graph.affine(x, own["weight"], own.get("bias")))


def _drop_connect(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    if layer.inference == "gaussian" and layer.activation != "linear":
        _refuse(layer, "inference='gaussian' is a mean over the noise; use inference='mean'")
    return _dense(graph, layer, x, shape)


def _standout(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    own = _values(layer)
    z = graph.affine(x, own["weight"], own.get("bias"))
    r = z if layer.tied else graph.affine(x, own["rate_weight"], own.get("rate_bias"))
    r = graph.add("Add", graph.add("Mul", r, graph.constant(layer.alpha)),
                  graph.constant(layer.beta))
    return str(graph.add("Mul", graph.activate(layer.activation, z), graph.add("Sigmoid", r)))


def _normed(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    weight, bias = map(graph.constant, _values(layer).values())
    precision = 11 if graph.dtype == np.float64 else 1
    return str(graph.add("LayerNormalization", x, weight, bias, axis=-1, epsilon=layer.epsilon,
                         stash_type=precision))


def _batch_normed(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    own = {name: value.astype(np.float64) for name, value in _values(layer).items()}
    scale = own["weight"] / np.sqrt(own["running_var"] + layer.epsilon)
    broadcast = [1] * (len(shape) + 1)
    broadcast[layer.axis] = -1
    y = graph.add("Mul", x, graph.constant(scale.reshape(broadcast)))
    shift = own["bias"] - own["running_mean"] * scale
    return str(graph.add("Add", y, graph.constant(shift.reshape(broadcast))))


def _flat(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    return str(graph.add("Flatten", x, axis=1))


def _embedded(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    return str(graph.add("Gather", graph.constant(_values(layer)["weight"]), x))


def _placed(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    added, _ = layer.forward(np.zeros((1, *shape), graph.dtype), Context())
    return str(graph.add("Add", x, graph.constant(added)))


def _slid(
    graph: Graph, layer: Any, x: str, shape: Shape, kind: str, *rest: str, **more: Any
) -> str:
    last = layer.data_format == "channels_last"
    maps = layer.maps_shape(shape)[:2]
    found = layer.windows(maps)
    after = [max(0, (count - 1) * stride + size - length - before) for
             count, stride, size, length, before in
             zip(found.counts, layer.strides, layer.size, maps, found.before, strict=True)]
    x = graph.add("Transpose", x, perm=(0, 3, 1, 2)) if last else x
    y = graph.add(kind, x, *rest, kernel_shape=layer.size, strides=layer.strides,
                  pads=(*found.before, *after), **more)
    return str(graph.add("Transpose", y, perm=(0, 2, 3, 1)) if last else y)


def _convolved(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    own = _values(layer)
    weights = [own["weight"].transpose(3, 2, 0, 1), *([own["bias"]] if "bias" in own else [])]
    y = _slid(graph, layer, x, shape, "Conv", *map(graph.constant, weights), group=layer.groups)
    return graph.activate(layer.activation, y)


def _largest(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    return _slid(graph, layer, x, shape, "MaxPool")


def _average(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    return _slid(graph, layer, x, shape, "AveragePool", count_include_pad=0)


def _pooled(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    kind = "ReduceMax" if isinstance(layer, layers.GlobalMaxPool1D) else "ReduceMean"
    first = 1 if getattr(layer, "data_format", "channels_last") == "channels_last" else 2
    axes = range(first, first + len(shape) - 1)  # all but samples and features
    return str(graph.add(kind, x, graph.constant(axes, np.int64), keepdims=0))


def _softmax(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    if layer.scale != 1.0:
        x = graph.add("Mul", x, graph.constant(layer.scale))
    if layer.causal:
        hidden = np.triu(np.full(shape[-2:], -np.inf), 1)
        x = graph.add("Add", x, graph.constant(hidden))
    return graph.noise(layer, graph.add("Softmax", x, axis=-1), shape)


def _attention(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    own, (time, features) = _values(layer), shape
    apart = (-1, time, 3, layer.heads, features // layer.heads)
    qkv = graph.affine(x, own["qkv_weight"], own.get("qkv_bias"))
    qkv = graph.add("Reshape", qkv, graph.constant(apart, np.int64))
    qkv = graph.add("Transpose", qkv, perm=(2, 0, 3, 1, 4))
    q, k, v = (graph.add("Gather", qkv, graph.constant(part, np.int64)) for part in range(3))
    scores = graph.add("MatMul", q, graph.add("Transpose", k, perm=(0, 1, 3, 2)))
    weights = _softmax(graph, layer.dropout, scores, (layer.heads, time, time))
    mixed = graph.add("Transpose", graph.add("MatMul", weights, v), perm=(0, 2, 1, 3))
    mixed = graph.add("Reshape", mixed, graph.constant((-1, time, features), np.int64))
    return graph.affine(mixed, own["out_weight"], own.get("out_bias"))


#: The gates of each cell in the order of ONNX, by their places here.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


def _recurrent(graph: Graph, layer: Any, x: str, shape: Shape) -> str:
    if any(np.any(getattr(layer, name).rate) for name in layer.noises if "zoneout" in name):
        _refuse(layer, "zoneout mixes states at inference, which ONNX's cells do not")
    kind = {"lstm": "LSTM", "gru": "GRU"}.get(layer.cell, "RNN")
    own = layer.torch_state()

    def ordered(name: str) -> Array:
        gates = np.split(own[name], layer.gates)
        return np.concatenate([gates[place] for place in GATES[kind]])

    inputs = [graph.constant(ordered(f"weight_{end}_l0")[None]) for end in ("ih", "hh")]
    if layer.bias:
        both = np.concatenate([ordered("bias_ih_l0"), ordered("bias_hh_l0")])
        inputs.append(graph.constant(both[None]))
    more: dict[str, dict[str, Any]] = {
        "LSTM": {}, "GRU": {"linear_before_reset": 1},
        "RNN": {"activations": [layer.cell.capitalize()]},
    }
    steps = graph.add("Transpose", x, perm=(1, 0, 2))
    all_states, last = graph.add(kind, steps, *inputs, outputs=2, hidden_size=layer.units,
                                 **more[kind])
    if not layer.return_sequences:
        return str(graph.add("Squeeze", last, graph.constant([0], np.int64)))
    y = graph.add("Squeeze", all_states, graph.constant([1], np.int64))
    return str(graph.add("Transpose", y, perm=(1, 0, 2)))


#: How each layer is written, but for those that are one mask of their input.
WRITERS: dict[type, Callable[[Graph, Any, str, Shape], str]] = {
    **dict.fromkeys((layers.ReLU, layers.Sigmoid, layers.Tanh, layers.Softplus, layers.SELU,
                     layers.GELU), _activation),
    **dict.fromkeys((Sequential, layers.TransformerBlock), _chain),
    **dict.fromkeys((layers.ConcreteDropout, layers.LayerDrop, layers.WeightDropout), _inside),
    **dict.fromkeys((layers.SimpleRNN, layers.LSTM, layers.GRU), _recurrent),
    **dict.fromkeys((layers.PatchDropout, layers.VariationalGaussianDropout, layers.Zoneout),
                    _masked),
    Identity: _same,
    layers.AveragePool2D: _average, layers.BatchNorm: _batch_normed, layers.Conv2D: _convolved,
    layers.Dense: _dense, layers.DropConnect: _drop_connect, layers.Embedding: _embedded,
    layers.Flatten: _flat, layers.GlobalAveragePool1D: _pooled,
    layers.GlobalMaxPool1D: _pooled, layers.GlobalAveragePool2D: _pooled,
    layers.LayerNorm: _normed,
    layers.MaxPool2D: _largest, layers.MultiHeadAttention: _attention,
    layers.PositionalEmbedding: _placed, layers.Residual: _residual,
    layers.SoftmaxDropout: _softmax, layers.Standout: _standout,
}


def _check_noise(model: Layer) -> None:
    """Raise if a layer has noise that the node Dropout does not have."""
    for layer in {*model.walk(), *held_noise(model)}:
        idle = not layer.learns_rate and np.all(getattr(layer, "rate", 0) == 0)
        if not hasattr(type(layer), "fitted") or idle:
            continue
        plain = type(layer) is layers.SoftmaxDropout or (
            type(layer) is layers.Dropout and layer.scaling == "inverted"
            and not layer.shared_axes)
        if not plain or not isinstance(layer.rate, float) or layer.rate == 1:
            _refuse(layer, f"ONNX's Dropout is not the noise of this {type(layer).__name__}; "
                           "set its rate to 0, or export without monte_carlo")


def to_onnx(
    model: Layer,
    path: str | os.PathLike[str] | None = None,
    *,
    input_shape: Shape | None = None,
    monte_carlo: bool = False,
) -> Any:
    """Return a model as ONNX has it at inference, and write it to a file if there is a ``path``.

    Parameters
    ----------
    model : Layer
        A `Sequential` or another layer, built.
    path : path, optional
        Where to write it.
    input_shape : tuple of int, optional
        The shape of one sample; a `Sequential` knows its own.
    monte_carlo : bool
        Whether layers with dropout become nodes ``Dropout``, and the model gets a second input
        ``training_mode``, a bool: where it is true, passes differ, and their mean and spread are a
        Monte Carlo estimate. The random numbers are then the runtime's; the masks are outputs
        beside "y".

    Returns
    -------
    onnx.ModelProto
        With the input "x", of a batch of any size, and the output "y".

    Raises
    ------
    TypeError
        If a layer, which is named, has no counterpart in ONNX.
    ValueError
        If the model is not built.

    Examples
    --------
    >>> from cydropout.layers import Dense, Dropout, Sequential
    >>> from cydropout.onnx import to_onnx  # doctest: +SKIP
    >>> model = Sequential([Dense(3, activation="relu"), Dropout(0.5), Dense(2)])
    >>> model.build((4,), 0)
    >>> [node.op_type for node in to_onnx(model).graph.node]  # doctest: +SKIP
    ['MatMul', 'Add', 'Relu', 'MatMul', 'Add']
    """
    check_model(model)
    shape = getattr(model, "input_shape", None) if input_shape is None else input_shape
    if shape is None:
        raise ValueError(f"{model.path} is not built, or does not say its input_shape: give one")
    dtypes = [parameter.value.dtype for parameter in model.parameters()] or [np.dtype("float32")]
    graph = Graph(dtypes[0], monte_carlo)
    if monte_carlo:
        _check_noise(model)
    helper, shape = graph.onnx.helper, tuple(shape)
    y = graph.write(model, "x", shape)
    graph.nodes.append(helper.make_node("Identity", [y], ["y"]))

    def value(name: str, dtype: Any, shape: Any) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return helper.make_tensor_value_info(name, kind, shape)

    entering = np.int64 if model.takes_integers else graph.dtype
    inputs = [value("x", entering, ("n", *shape))]
    if monte_carlo:
        inputs.append(value(TRAINING, np.bool_, ()))
    outputs = [value("y", graph.dtype, ("n", *model.output_shape(shape))),
               *(value(mask, np.bool_, ("n", *own)) for mask, own in graph.masks)]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "cydropout", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="cydropout",
    )
    graph.onnx.checker.check_model(made)
    if path is not None:
        replace(path, [made.SerializeToString()], "model")
    return made
