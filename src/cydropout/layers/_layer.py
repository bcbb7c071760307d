"""What every layer shares: `Context`, `Layer`, and the checks on their arrays."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from cydropout._rates import Scaling
from cydropout.layers._parameter import Parameter as Parameter
from cydropout.layers._state import Entries, Entry, check_names, write_all
from cydropout.layers._workspace import Workspace
from cydropout.masks import Mask, inference_mask
from cydropout.random import MaskStream

if TYPE_CHECKING:
    from typing_extensions import Self

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Backward: TypeAlias = Callable[[Array], Array]
Forward: TypeAlias = "Callable[[Array, Context], tuple[Array, Backward]]"

FLOATS = ("float32", "float64", "float16", "bfloat16")
_NATIVE = frozenset(map(np.dtype, ("float32", "float64")))
NO_GRADIENT: Array = np.empty(0, "float32")
"""What a backward pass returns where the context said that nobody needs the input's gradient."""


@dataclass(frozen=True, slots=True)
class Context:
    """What one pass through a model needs to know.

    Parameters
    ----------
    training : bool
        Whether noise is drawn.
    stream : MaskStream, optional
        Where masks are drawn from; needed when `training`.
    num_threads : int, optional
        Threads of the elementwise kernels; None takes what `cydropout.get_num_threads` says. The
        default is 1, since the products in between run on the threads of BLAS: two pools that
        take turns within a step wait for each other much longer than they work.
    input_gradient : bool
        False lets a model skip the gradient with respect to its own input, which a training step
        never reads; its backward pass then returns an empty array.
    batch_statistics : bool
        Whether a training pass normalises with the statistics of its batch, where a layer does
        so; False has it use the running averages, as at inference.
    masks : dict, optional
        The masks of a training pass by layer. A layer that finds its mask there uses it; one that
        does not draws a mask and puts it there. So a dict that starts empty tells which masks were
        used, passed again it has them used again, and cleared it ends that.
    brought : dict, optional
        Masks that a training pass uses before all others, by layer; see `bringing`.
    backward : bool
        False where nobody goes back, as in Monte Carlo dropout: noise then holds nothing for it.
    workspace : Workspace, optional
        Where layers take the arrays of their results from, all of which are then those of this
        step alone; without one they allocate them.
    states : dict, optional
        The states of recurrent layers by layer. A layer that finds its state there starts from it,
        and leaves the last one there: so a long sequence can go by in parts.
    """

    training: bool = False
    stream: MaskStream | None = None
    num_threads: int | None = 1
    input_gradient: bool = True
    masks: dict[Layer, Any] | None = None
    backward: bool = True
    workspace: Workspace | None = None
    states: dict[Layer, tuple[Array, ...]] | None = None
    batch_statistics: bool = True
    brought: Mapping[Layer, Any] = field(default_factory=dict)
    _inside: Context | None = field(default=None, init=False, repr=False, compare=False)

    def room(self, shape: Shape, dtype: Any) -> Array | None:
        """Return where a result may go, as ``out=``: an array of the workspace, or None."""
        return None if self.workspace is None else self.workspace.empty(shape, dtype)

    @property
    def inside(self) -> Context:
        """The context of layers within a model, all of which need the gradient of their input."""
        if self.input_gradient:
            return self
        if self._inside is None:
            object.__setattr__(self, "_inside", replace(self, input_gradient=True))
        assert self._inside is not None
        return self._inside

    def bringing(self, masks: Mapping[Layer, Any]) -> Context:
        """Return a context that brings these masks to their layers, those that are not None."""
        brought = {layer: mask for layer, mask in masks.items() if mask is not None}
        return replace(self, brought={**self.brought, **brought}) if brought else self

    @property
    def trades_masks(self) -> bool:
        """Whether masks come in with the context or go out with it, also those of a rate of 0."""
        return self.masks is not None or bool(self.brought)

    def held(self, layer: Layer) -> Any:
        """Return the mask that a training pass brings to a layer, or holds for it, or None."""
        if not self.training:
            return None
        if layer in self.brought:
            return self.brought[layer]
        return None if self.masks is None else self.masks.get(layer)

    def draw(
        self,
        shape: Shape,
        rate: Any,
        *,
        scaling: Scaling = "inverted",
        shared_axes: Sequence[int] = (),
        storage: Literal["bits", "seed"] = "bits",
    ) -> Mask:
        """Draw the next mask of the stream, or at inference the map that stands for its mean."""
        shared = tuple(shared_axes)
        if not self.training:
            return inference_mask(shape, rate, scaling=scaling, shared_axes=shared)
        stream = self.training_stream()
        return stream.draw(shape, rate, scaling=scaling, shared_axes=shared, storage=storage)

    def draw_as(self, kind: Callable[..., Any], shape: Shape, *args: Any, **options: Any) -> Any:
        """Return ``kind(stream, shape, ...)``, or at inference the identity."""
        if not self.training:
            return inference_mask(shape, 0.0)
        if "storage" in options and not self.backward:
            options["storage"] = "seed"
        return kind(self.training_stream(), shape, *args, **options)

    def training_stream(self) -> MaskStream:
        """Return the stream, or raise if there is none."""
        if self.stream is None:
            raise ValueError("a training pass draws masks: give Context a stream=MaskStream(seed)")
        return self.stream


class Absorbed(NamedTuple):
    """How many of the layers behind it a layer takes into its own pass, and that pass."""

    taken: int
    forward: Forward


class Layer:
    """Base of all layers: parameters and settings, never the data of a pass.

    A subclass defines `forward`, and where they differ from the identity's `output_shape`,
    `build` and `get_config`. Shapes given to `build` and `output_shape` leave out the batch axis.
    """

    #: Whether the input is made of integers, which a `Sequential` then leaves as they are.
    takes_integers: bool = False
    #: Along which axis of the output the units lie; None where it is that of the input.
    unit_axis: int | None = None
    #: The attributes that hold the layers of its noise, or None.
    noises: ClassVar[tuple[str, ...]] = ()
    #: Whether the rate is a parameter, which schedules then leave alone.
    learns_rate: bool = False

    def __init__(self, *, name: str | None = None) -> None:
        if name is not None and (not name or "." in name):
            raise ValueError(f"layer name {name!r}: use a non-empty name without a dot")
        self.named = name is not None
        self.name = name or self.kind()
        # The name with the layer's place before it, once a Sequential gives it one.
        self.path = self.name
        self._parameters: dict[str, Parameter] = {}

    @classmethod
    def kind(cls) -> str:
        """Return the layer's published name in lower case."""
        return cls.__name__.lower()

    def build(self, input_shape: Shape, rng: Any = None, dtype: Any = None) -> None:
        """Create the parameters for inputs of ``input_shape``; a second call changes nothing."""

    def forward(self, x: Array, ctx: Context) -> tuple[Array, Backward]:
        """Return ``y`` and the function that takes ``dy`` to ``dx`` and adds up gradients."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def absorb(self, following: Sequence[Layer]) -> Absorbed:
        """Offer to run the first layers of ``following`` in this layer's pass, to the same bit."""
        return Absorbed(0, self.forward)

    def apart(self) -> Sequence[Layer]:
        """Return layers that, one after the other, do what this one does, to the same bit."""
        return (self,)

    def convert(self, x: Array) -> Array:
        """Return an input as the first of the layers of `apart` takes it."""
        return x

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of ``y`` for an input of ``input_shape``."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Iterate over the parameters in order, each with its name within this layer."""
        yield from self._parameters.items()

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """Return a copy that runs with other parameters in the place of those named.

        All else is shared with this layer. The names are those of `named_parameters`.

        Raises
        ------
        ValueError
            If a name is not that of a parameter of the layer, or of one that it can replace.
        """
        unknown = sorted(parameters.keys() - self._parameters.keys())
        if unknown:
            raise ValueError(
                f"{self.path} cannot replace the parameters {unknown}; it can {[*self._parameters]}"
            )
        twin = copy.copy(self)
        twin._parameters = {**self._parameters, **parameters}
        return twin

    def held_noise(self) -> dict[str, Layer]:
        """Return the layers of noise that this layer runs by itself, by their attributes."""
        held = {name: getattr(self, name) for name in self.noises}
        return {name: layer for name, layer in held.items() if layer is not None}

    def walk(self) -> Iterator[Layer]:
        """Iterate over this layer, those of its noise, and those inside it."""
        yield self
        yield from self.held_noise().values()

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        """Iterate over the layers inside that have paths of their own, each with its path."""
        yield from ()

    def penalty(self) -> float:
        """Return the layer's own term of the loss, and add its gradient to the parameters'."""
        return 0.0

    def parameters(self) -> list[Parameter]:
        """Return the parameters in order."""
        return [parameter for _, parameter in self.named_parameters()]

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
            found, wanted = np.asarray(state[name]), parameter.value
            if found.shape != wanted.shape or found.dtype != wanted.dtype:
                raise ValueError(
                    f"state of {name!r} is {found.dtype} {found.shape}, "
                    f"the parameter {wanted.dtype} {wanted.shape}"
                )
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


@contextlib.contextmanager
def restored_on_error(layer: Layer) -> Iterator[None]:
    """Give the parameters back the values that they had, if what is done with them fails."""
    before = layer.state_dict()
    try:
        yield
    except BaseException:
        layer.load_state_dict(before)
        raise


def in_order(layers: Sequence[Layer | Absorbed], x: Array, ctx: Context) -> tuple[Array, Backward]:
    """Run layers one after the other; the way back runs them in the other order."""
    backwards: list[Backward] = []
    for layer in layers:
        x, back = layer.forward(x, ctx if not backwards else ctx.inside)
        backwards.append(back)

    def backward(dy: Array) -> Array:
        for back in reversed(backwards):
            dy = back(dy)
        return dy

    return x, backward


def as_float(x: Any, name: str) -> Array:
    """Return ``x`` as a native array of floats, or raise `TypeError` naming its dtype."""
    array: Array = np.asarray(x)
    if array.dtype in _NATIVE:
        return array
    if array.dtype.name not in FLOATS:
        raise TypeError(
            f"{name} got input of dtype {array.dtype}; convert it first, as in x.astype('float32')"
        )
    if array.dtype.isnative:
        return array
    native: Array = array.astype(array.dtype.newbyteorder("="))
    return native


def native_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype of a model's parameters, which is float32 or float64."""
    found = np.dtype(dtype)
    if found.name not in ("float32", "float64"):
        raise ValueError(f"dtype of parameters must be float32 or float64, got {found}")
    native: np.dtype[Any] = np.dtype(found.name)
    return native
