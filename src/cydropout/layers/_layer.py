"""What every layer shares: `Layer`, and the checks on arrays."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from cydropout._arrays import as_float_array, contiguous
from cydropout._validate import ArgumentTypeError, check_array, check_choice, is_ours, shown
from cydropout._words import MODELS
from cydropout.layers._context import Context as Context
from cydropout.layers._owner import Owner
from cydropout.layers._parameter import Parameter as Parameter
from cydropout.layers._settings import Setting, bind, declare, one_config
from cydropout.layers._state import Entries, Entry, check_names, write_all

if TYPE_CHECKING:
    from typing_extensions import Self

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Backward: TypeAlias = Callable[[Array], Array]
Forward: TypeAlias = "Callable[[Array, Context], tuple[Array, Backward]]"

_Forward = TypeVar("_Forward", bound=Callable[..., Any])

FLOATS = ("float32", "float64", "float16", "bfloat16")
_NATIVE = frozenset(map(np.dtype, ("float32", "float64")))
NO_GRADIENT: Array = np.empty(0, "float32")
"""What a backward pass returns where the context said that nobody needs the input's gradient."""


class Pass(NamedTuple):
    """One pass over memory: the layers that it stands for, and their joint forward.

    ``block`` describes it for the pass that runs several in one call, where there is such a pass.
    """

    layers: tuple[Layer, ...]
    forward: Forward
    block: Any = None


class Layer(Owner):
    """Base of all layers: parameters and settings, never the data of a pass.

    A subclass states its settings, defines `forward`, and where they differ from the identity's
    `output_shape` and `build`. Shapes given to `build` and `output_shape` leave out the batch axis.
    Attributes that are a `Parameter` or a layer, or lists, tuples and dicts of them, belong to it:
    they are trained, saved, counted and found by `walk`. An ``__init__`` of its own begins with
    ``super().__init__()``.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Context, Layer
    >>> class Half(Layer):
    ...     def forward(self, x, ctx):
    ...         return 0.5 * x, lambda dy: 0.5 * dy
    ...
    >>> y, backward = Half().forward(np.ones(3), Context())
    >>> y, backward(y)
    (array([0.5, 0.5, 0.5]), array([0.25, 0.25, 0.25]))
    """

    #: Whether the input is made of integers, which a `Sequential` then leaves as they are.
    takes_integers: bool = False
    #: How many samples a batch must have in training; known when the layer is built.
    least_samples: int = 1
    #: What becomes of `Context.lengths`: "keep" where the layer computes each position by itself or
    #: asks `Context.real` which ones are padding, "end" where its output has no axis of time; None
    #: where it would mix padding in: it then refuses them. A subclass with a forward of its own
    #: says so itself.
    with_lengths: Any = None
    #: Whether a pass over some rows of a batch (`Context.rows`) makes of them what one over all
    #: does. A subclass with a forward of its own says so itself; else its batches are not cut.
    by_rows: ClassVar[bool] = True
    #: Whether it does so where it can add up over all of them, by `Context.sums`.
    by_sums: ClassVar[bool] = False
    #: Along which axis of the output the units lie; None where it is that of the input.
    unit_axis: int | None = None
    #: The settings by their keys, and those that may be given by place.
    settings: ClassVar[dict[str, Setting]]
    positional: ClassVar[str] = ""
    #: The attributes that hold the layers of noise that it runs by itself, or None.
    noises: ClassVar[tuple[str, ...]]
    is_made: bool = False
    #: Whether forward does well where `Context.input_gradient` is False, and all inside it too. A
    #: subclass with a forward of its own says so itself; else it is asked for all gradients.
    skips_input_gradient: ClassVar[bool] = False
    #: Whether the rate is a parameter, which schedules then leave alone.
    learns_rate: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "forward" in vars(cls) and "skips_input_gradient" not in vars(cls):
            cls.skips_input_gradient = is_ours(cls)
        if "forward" in vars(cls) and not is_ours(cls):
            for name, unknown in (
                ("with_lengths", None), ("by_rows", False), ("by_sums", False)
            ):
                if name not in vars(cls):
                    setattr(cls, name, unknown)
        if "penalty" in vars(cls):
            raise TypeError(f"{cls.__name__}: define own_penalty; penalty adds up those inside")
        declare(cls)

    def __init__(self, *args: Any, name: str | None = None, **settings: Any) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name of a layer must be a string, not {name!r}")
        if name is not None and (not name or "." in name):
            raise ValueError(f"layer name {name!r}: use a non-empty name without a dot")
        self.named = name is not None
        self.name = name or self.kind()
        # For messages: the name, with its place in the first Sequential that took the layer.
        self.path = self.name
        self._parameters: dict[str, Parameter] = {}
        bind(self, args, settings)

    def __getattr__(self, name: str) -> Any:
        if "_parameters" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__} has no {name!r} yet: its __init__ must call "
                "super().__init__() first"
            )
        if name in MODELS:
            raise AttributeError(f"{type(self).__name__} has no {name!r}: {MODELS[name]}")
        return object.__getattribute__(self, name)

    @classmethod
    def kind(cls) -> str:
        """Return the layer's published name in lower case."""
        return cls.__name__.lower()

    @property
    def origin(self) -> Layer:
        """Whose masks and states this layer's are: the layer's, of which it may be a copy."""
        return self if self._origin is None else self._origin

    @property
    def is_built(self) -> bool:
        """Whether the layer's own parameters are made; what shapes them is then fixed."""
        return bool(self._parameters)

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Create the parameters for inputs of ``input_shape``; a second call changes nothing."""

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``y`` and the function that takes ``dy`` to ``dx`` and adds up gradients."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def parts(self) -> Sequence[Layer]:
        """Return layers that, one after the other, do what this one does, to the same bit."""
        return (self,)

    @property
    def branch(self) -> Any:
        """The `Sequential` that runs on the input before all else, or None where there is none."""
        return None

    def convert(self, x: Array) -> Array:
        """Return an input as the first of the layers of `parts` takes it."""
        return x

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of ``y`` for an input of ``input_shape``."""
        return tuple(input_shape)

    def keeps_lengths(self, input_shape: Shape) -> bool:
        """Whether `Context.lengths` hold behind the layer too; raise if it cannot take them."""
        if self.with_lengths is None:
            raise ValueError(
                f"{self.path} would mix sequences with their padding, so it takes no lengths: pool "
                "over time before it. A class of your own that does not says with_lengths = 'keep'"
            )
        if len(input_shape) < 2 - self.takes_integers:
            raise ValueError(
                f"lengths need samples (time, features), but those of {self.path} have the shape "
                f"{tuple(input_shape)}"
            )
        return bool(check_choice("with_lengths", self.with_lengths, ("keep", "end")) == "keep")

    def check_settings(self) -> None:
        """Refuse settings that do not go together; called when they are set, and set again."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, of which `from_config` makes the layer again."""
        with one_config():
            config = {key: setting.read(self) for key, setting in self.settings.items()}
        return {**config, "name": self.name} if self.named else config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the layer that `get_config` described, not built; also if it went by JSON."""
        with one_config():
            return cls(**config)

    def own_penalty(self) -> float:
        """Return the layer's own term of the loss, and add its gradient to the parameters'."""
        return 0.0

    def penalty(self) -> float:
        """Return the terms of this layer and of those inside; add up their gradients."""
        return sum(layer.own_penalty() for layer in self.walk())

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every parameter's value, by name."""
        return {name: parameter.value.copy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy values saved by `state_dict` into the parameters, all of them or none.

        Raises
        ------
        ValueError
            If names are missing or left over, or a shape or dtype differs.
        """
        own = dict(self.named_parameters())
        check_names(self.path, own, state)
        for name, parameter in own.items():
            found = check_array(f"state of {name!r}", state[name])
            parameter.check_like("state of", name, found)
        for name, parameter in own.items():
            np.copyto(parameter.value, state[name])

    def torch_entries(self) -> Entries:
        """Return under which names, and in which layout, PyTorch holds the parameters.

        Names and shapes are those of the ``state_dict`` of the PyTorch layer of the same name; a
        subclass whose own differ says so here.
        """
        return {name: Entry(parameter) for name, parameter in self.named_parameters()}

    def torch_state(self) -> dict[str, Array]:
        """Return a copy of every parameter, named and laid out as in PyTorch's ``state_dict``."""
        return {name: entry.read() for name, entry in self.torch_entries().items()}

    def load_torch_state(self, state: Mapping[str, Array]) -> None:
        """Copy the arrays of such a state into the parameters, all of them or none.

        Raises
        ------
        ValueError
            If names are missing or left over, a shape differs, or an array holds no floats.
        """
        write_all(self.path, self.torch_entries(), state)

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"


declare(Layer)


def held_noise(model: Layer) -> set[Layer]:
    """Return the layers of noise that layers of a model run by themselves."""
    held = {getattr(owner, name) for owner in model.walk() for name in owner.noises}
    return held - {None}


def check_model(model: Any, name: str = "model") -> Layer:
    """Return ``model``, if it is a layer."""
    if not isinstance(model, Layer):
        hint = "; make it one, with Sequential([...])" if isinstance(model, (list, tuple)) else ""
        raise ArgumentTypeError(f"{name} must be a Layer, not {shown(model)}{hint}")
    return model


@contextlib.contextmanager
def restored_on_error(layer: Layer) -> Iterator[None]:
    """Give the parameters back the values that they had, if what is done with them fails."""
    before = layer.state_dict()
    try:
        yield
    except BaseException:
        layer.load_state_dict(before)
        raise


def restoring_draws(forward: _Forward) -> _Forward:
    """Have a forward that draws give the draws back to the stream, if it fails."""

    @functools.wraps(forward)
    def restored(self: Any, x: Any, ctx: Context, *args: Any, **options: Any) -> Any:
        if ctx.stream is None:
            return forward(self, x, ctx, *args, **options)
        return ctx.stream.restoring(forward, self, x, ctx, *args, **options)

    return restored  # type: ignore[return-value]


def in_order(steps: Sequence[Layer | Pass], x: Array, ctx: Context) -> tuple[Array, Backward]:
    """Run layers one after the other; backward runs them in the other order.

    Without an input gradient it ends at the first step with something to train.
    """
    backwards: list[Backward] = []
    first = 0 if ctx.input_gradient else _first_trained(steps, ctx)
    for place, step in enumerate(steps):
        own = ctx.inside
        if place <= first and not ctx.input_gradient:
            own = ctx.entering(_layers(step)[0])
        if ctx.lengths is not None:
            ctx = ctx.behind(_layers(step), np.shape(x))
        x, back = step.forward(x, own)
        if place >= first:
            backwards.append(back)

    def backward(dy: Array) -> Array:
        if not steps and np.shape(dy) != x.shape:
            raise ValueError(f"gradient has shape {np.shape(dy)}, the output {x.shape}")
        for back in reversed(backwards):
            dy = back(dy)
        return dy if ctx.input_gradient else NO_GRADIENT

    return x, backward


def _layers(step: Layer | Pass) -> tuple[Layer, ...]:
    return step.layers if isinstance(step, Pass) else (step,)


def _first_trained(steps: Sequence[Layer | Pass], ctx: Context) -> int:
    """Return the place of the first step with something to train, or how many steps there are."""
    def decide() -> int:
        for place, step in enumerate(steps):
            if any(layer.needs_gradient for layer in _layers(step)):
                return place
        return len(steps)

    # The passes of a model live as long as the model does.
    if ctx.workspace is None or not isinstance(steps, tuple):
        return decide()
    first: int = ctx.workspace.decided(id(steps), decide)
    return first


def as_float(x: Any, name: str) -> Array:
    """Return ``x`` as a native array of floats, or raise `TypeError` naming its dtype."""
    array: Array = x if type(x) is np.ndarray else check_array(f"x of {name}", x)
    if array.dtype in _NATIVE:
        return array
    if array.dtype.name not in FLOATS:
        scale = " / 255" if array.dtype == np.uint8 else ""
        raise TypeError(
            f"{name} got input of dtype {array.dtype}; convert it first, as in "
            f"x.astype('float32'){scale}"
        )
    if array.dtype.isnative:
        return array
    native: Array = array.astype(array.dtype.newbyteorder("="))
    return native


def as_gradient(dy: Any, shape: Shape, dtype: Any = None) -> Array:
    """Return the gradient of an output of this shape as the kernels take it, in a dtype if given.

    Raises
    ------
    TypeError, ValueError
        If it is masked, not of floats, or of another shape.
    """
    array, _ = as_float_array(dy, "dy")
    if array.shape != shape:
        raise ValueError(f"gradient has shape {array.shape}, the output {shape}")
    return contiguous(array, dtype)


def native_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype of a model's parameters, which is float32 or float64."""
    found = np.dtype(dtype)
    if found.name not in ("float32", "float64"):
        raise ValueError(f"dtype of parameters must be float32 or float64, got {found}")
    native: np.dtype[Any] = np.dtype(found.name)
    return native
