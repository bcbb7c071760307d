"""Owner: what holds parameters and layers, and walks over them; the attributes say what is held."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from cydropout._closed import Closed
from cydropout._validate import check_flag
from cydropout.layers._parameter import Parameter

if TYPE_CHECKING:
    from typing_extensions import Self

    from cydropout.layers._layer import Layer

T = TypeVar("T")
#: What most attributes are, and holds nothing.
_PLAIN = frozenset({bool, float, int, str, type(None)})


class Owner(Closed):
    """Base of the layers: every `Parameter` and layer among the attributes belongs to it.

    So do those in lists, tuples and dicts, also within each other. What is set again or deleted is
    found as it is then; nothing is registered, and nothing is written to what is held. So one layer
    can stand in several others, each of which has its own names for it.
    """

    _parameters: dict[str, Parameter]
    _origin: Any = None
    _frozen: bool = False
    #: Attributes whose layers do not belong to it for that: made of those that do.
    _derived: ClassVar[tuple[str, ...]] = ("_origin",)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "build" in vars(cls):
            cls.build = _keeping_frozen(cls.build)  # type: ignore[attr-defined]

    def _holds(self, value: Any) -> bool:
        return any(True for _ in _found((Owner, Parameter), "", value))

    def _held(self, kind: type[T]) -> Iterator[tuple[str, T]]:
        """Iterate over the attributes of a kind, each with its name, and over those inside them."""
        own = self._parameters
        for name, value in vars(self).items():
            if type(value) not in _PLAIN and name not in self._derived:
                yield from _found(kind, "" if value is own else name, value)

    def children(self) -> dict[str, Any]:
        """Return the layers that this one holds itself, by their names here.

        The name "" is that of a layer whose parameters go by this layer's own name.

        Raises
        ------
        ValueError
            If two have the same name, as of the keys 0 and "0".
        """
        found = [*self._held(Owner)]
        names = [name for name, _ in found]
        children = dict(found)
        if len(children) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(
                f"{type(self).__name__} holds several layers by the name {twice!r}; give its "
                "attributes and keys other names"
            )
        return children

    def _walk(self, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Layer]]:
        """Iterate over this layer and all inside, each once, with the first of its paths."""
        seen = set() if seen is None else seen
        if id(self) in seen:
            return
        seen.add(id(self))
        yield path, self  # type: ignore[misc]
        for name, child in self.children().items():
            yield from child._walk(_joined(path, name), seen)

    def walk(self) -> Iterator[Layer]:
        """Iterate over this layer and all inside it, the layers of noise too, each once."""
        return (layer for _, layer in self._walk())

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        """Iterate over the layers inside, each with its path, as in "1.sequential.0.relu"."""
        paths: set[str] = {""}
        for path, layer in self._walk():
            if path not in paths:
                paths.add(path)
                yield path, layer

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Iterate over the parameters in order, each once, as in "0.dense.weight"."""
        names: set[str] = set()
        seen: set[int] = set()
        for path, layer in self._walk():
            for own, parameter in layer._held(Parameter):
                if id(parameter) in seen:
                    continue
                name = _joined(path, own)
                while name in names:  # of a layer that goes by the name of the one around it
                    name = f"layer.{name}"
                seen.add(id(parameter))
                names.add(name)
                yield name, parameter

    def parameters(self) -> list[Parameter]:
        """Return the parameters in order."""
        return [parameter for _, parameter in self.named_parameters()]

    def freeze(self) -> None:
        """Train no parameter of this layer and of those inside, in any model they stand in.

        No gradient is computed for it where none is needed, none counts for clipping, and no
        penalty, weight decay or ``max_norm`` touches it. A `BatchNorm` without anything to train
        takes the running averages, as at inference, and leaves them. Noise is still drawn. Before
        `build` it holds for the parameters to come.
        """
        self._set_frozen(True)

    def unfreeze(self) -> None:
        """Train the parameters again; those that are made not to be trained stay so."""
        self._set_frozen(False)

    def _set_frozen(self, frozen: bool) -> None:
        for layer in self.walk():
            layer._frozen = frozen
            for _, parameter in layer._held(Parameter):
                parameter.trainable = parameter.was_made_to_train and not frozen

    @property
    def trainable(self) -> bool:
        """Whether something here is trained; set it to `freeze` or `unfreeze`."""
        held = [one for one in self.parameters() if one.was_made_to_train]
        return any(one.trainable for one in held) if held else not self._frozen

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        self._set_frozen(not check_flag("trainable", trainable))

    @property
    def needs_gradient(self) -> bool:
        """Whether there is a parameter that is trained by now."""
        return any(one.trainable for layer in self.walk() for _, one in layer._held(Parameter))

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """Return a copy that runs with other parameters in the place of those named.

        All else is shared with this layer. The names are those of `named_parameters`.

        Raises
        ------
        ValueError
            If a name is not that of a parameter of the layer.
        """
        own = dict(self.named_parameters())
        unknown = sorted(parameters.keys() - own.keys())
        if unknown:
            raise ValueError(f"{self!r} has no parameters {unknown}; it has {[*own]}")
        twin = self._replaced({id(own[name]): new for name, new in parameters.items()})
        there = {id(one) for one in twin.parameters()}
        missing = [name for name, new in parameters.items() if id(new) not in there]
        if missing:
            raise ValueError(f"cannot replace {missing}, which no attribute of {self!r} holds")
        return twin

    def _replaced(self, new: dict[int, Any]) -> Self:
        """Return a copy with other parameters for those of some ids; itself if it holds none.

        What becomes of a layer stands under its id then, so that it becomes one, wherever it is.
        """
        if id(self) not in new:
            new[id(self)] = None
            found = {n: _replaced(v, new) for n, v in vars(self).items()
                     if n not in self._derived}
            new[id(self)] = self
            if any(one is not vars(self)[name] for name, one in found.items()):
                new[id(self)] = copy.copy(self)
                origin = self if self._origin is None else self._origin
                vars(new[id(self)]).update(found, _origin=origin)
        if new[id(self)] is None:
            raise ValueError(f"cannot replace parameters of a {type(self).__name__} inside itself")
        twin: Self = new[id(self)]
        return twin


def _keeping_frozen(build: Callable[..., None]) -> Callable[..., None]:
    """Return a build whose new parameters are frozen where the layer is."""

    @wraps(build)
    def run(self: Any, *args: Any, **options: Any) -> None:
        if not self._frozen:
            return build(self, *args, **options)
        layers = {*map(id, self.walk())}
        parameters = {*map(id, self.parameters())}
        build(self, *args, **options)
        for layer in self.walk():
            layer._frozen |= id(layer) not in layers
            for _, parameter in layer._held(Parameter):
                if layer._frozen and id(parameter) not in parameters:
                    parameter.trainable = False

    return run


def _found(kind: Any, path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over what of a kind is a value, or inside it, each with its path."""
    if isinstance(value, kind):
        yield path, value
    for key, one in _items(value):
        yield from _found(kind, _joined(path, str(key)), one)


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, (list, tuple, deque)):
        return enumerate(value)
    if isinstance(value, (dict, MappingProxyType)):
        return value.items()
    unordered = isinstance(value, (set, frozenset))
    if unordered or (isinstance(value, np.ndarray) and value.dtype.kind == "O"):
        for one in value if unordered else value.flat:
            if isinstance(one, (Owner, Parameter)):
                raise TypeError(f"{one!r} is held in a {type(value).__name__}; use a list")
    return ()


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _replaced(value: Any, new: dict[int, Any]) -> Any:
    """Return an attribute with other parameters; itself if it holds none of those."""
    if isinstance(value, Owner):
        return value._replaced(new)
    if isinstance(value, Parameter):
        return new.get(id(value), value)
    items = {key: _replaced(one, new) for key, one in _items(value)}
    if all(items[key] is one for key, one in _items(value)):
        return value
    if isinstance(value, (dict, MappingProxyType)):
        return items
    make = getattr(value, "_make", type(value))
    return make(items.values())
