"""Settings: what a layer is made with, each stated once by its name, check and default."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from cydropout._validate import (
    check_choice,
    check_flag,
    check_integer,
    check_lengths,
    check_number,
    check_one_rate,
    check_rate,
    is_ours,
)
from cydropout._words import check_words

T = TypeVar("T")
REQUIRED: Any = inspect.Parameter.empty
#: The classes of layers, by what stands for them in a config.
KINDS: dict[str, type] = {}
_REGISTERED: dict[type, str] = {}
#: The layers of the config that is written or read, each by its id or its number.
_KNOWN: ContextVar[dict[Any, Any] | None] = ContextVar("known", default=None)


class Setting:
    """A setting of a layer, checked whenever it is set; None where the default is None.

    Parameters
    ----------
    default : object, optional
        Without one the setting has to be given.
    key : str, optional
        Its name in the constructor and in configs, where that is not the attribute's.
    fixed : bool
        Whether it is given to the constructor and stays.
    shapes : bool
        Whether the parameters are made by it, and it stays once they are.
    """

    name: str
    #: Whether it stands behind the others, of which its check may read some.
    last: ClassVar[bool] = False

    def __init__(
        self, default: Any = REQUIRED, *, key: str = "", fixed: bool = False, shapes: bool = False
    ) -> None:
        self.default, self.key, self.fixed, self.shapes = default, key, fixed, shapes

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.key = self.key or name

    if TYPE_CHECKING:
        # The value lies in the layer's `__dict__`, where an attribute is found without a call.
        def __get__(self, layer: Any, owner: Any = None) -> Any: ...

    def __set__(self, layer: Any, value: Any) -> None:
        values, made = vars(layer), layer.is_made
        if made and self.fixed:
            raise AttributeError(
                f"{self.key} of {layer.path} is fixed; make a {type(layer).__name__} with it"
            )
        before = values.get(self.name)
        kept = None if value is self.default is None else self.check(value, layer)
        if made and self.shapes and kept != before and layer.is_built:
            raise AttributeError(
                f"{self.key} of {layer.path} is fixed, since the layer is built with "
                f"{self.key}={before!r}; make a {type(layer).__name__} with {kept!r}"
            )
        values[self.name] = kept
        if made:
            try:
                layer.check_settings()
            except Exception:
                values[self.name] = before
                raise

    def check(self, value: Any, layer: Any) -> Any:
        """Return the value as it is kept, or raise."""
        return value

    def read(self, layer: Any) -> Any:
        """Return the value as a config holds it, of plain Python."""
        value = vars(layer)[self.name]
        return value.tolist() if isinstance(value, np.ndarray) else value


class Rate(Setting):
    """One probability of dropping."""

    def check(self, value: Any, layer: Any) -> float:
        """Return a float in [0, 1]."""
        return check_one_rate(value, type(layer).__name__)


class Rates(Setting):
    """A probability of dropping, or an array of them."""

    def check(self, value: Any, layer: Any) -> Any:
        """Return a float, or an array, in [0, 1]."""
        return check_rate(value)


class Noise(Setting):
    """A layer of noise that a layer runs by itself: set by its rate, had as a layer or None."""

    def __init__(
        self, make: Callable[[Any, Any], Any], default: Any = 0.0, *, key: str = ""
    ) -> None:
        super().__init__(default, key=key)
        self.make = make

    def check(self, value: Any, layer: Any) -> Any:
        """Return the layer of noise; one that is there already has its rate set, or is replaced."""
        noise = vars(layer).get(self.name)
        if hasattr(value, "fitted"):
            return value
        check_rate(value, f"{self.key} of {type(layer).__name__}")
        if noise is None:
            return self.make(value, layer)
        noise.rate = value
        return noise

    def read(self, layer: Any) -> Any:
        """Return the rate."""
        noise = vars(layer)[self.name]
        return 0.0 if noise is None else noise.settings["rate"].read(noise)


class Checked(Setting):
    """A value that a function checks, and returns as it is kept."""

    def __init__(
        self, function: Callable[[Any], Any], default: Any = REQUIRED, **options: Any
    ) -> None:
        super().__init__(default, **options)
        self.function = function

    def check(self, value: Any, layer: Any) -> Any:
        """Return what the function gives."""
        return self.function(value)


class OneOf(Setting):
    """One of several names."""

    def __init__(self, names: Iterable[str], default: Any = REQUIRED, **options: Any) -> None:
        super().__init__(default, **options)
        self.names = tuple(names)

    def check(self, value: Any, layer: Any) -> str:
        """Return a name that is known."""
        return str(check_choice(self.key, value, self.names))


class Flag(Setting):
    """True or False."""

    def check(self, value: Any, layer: Any) -> bool:
        """Return a bool."""
        return check_flag(self.key, value)


class Count(Setting):
    """An integer of at least 1, and not so large that NumPy refuses an array without saying why."""

    def check(self, value: Any, layer: Any) -> int:
        """Return an int."""
        return check_integer(self.key, value, "[1, 2**48)")


class Number(Setting):
    """A number of an interval."""

    def __init__(
        self, default: Any = REQUIRED, interval: str = "(-inf, inf)", **options: Any
    ) -> None:
        super().__init__(default, **options)
        self.interval = interval

    def check(self, value: Any, layer: Any) -> float:
        """Return a float."""
        return check_number(self.key, value, self.interval)


class Integer(Number):
    """An integer of an interval, by default any."""

    def check(self, value: Any, layer: Any) -> int:
        """Return an int."""
        return check_integer(self.key, value, self.interval)


class Axes(Setting):
    """A tuple of axes."""

    def check(self, value: Any, layer: Any) -> tuple[int, ...]:
        """Return a tuple of ints."""
        each = value if isinstance(value, (tuple, list)) else (value,)
        return tuple(check_integer(self.key, axis, "(-inf, inf)") for axis in each)


class Lengths(Setting):
    """Lengths along the axes of space, of which the layer has `spatial`: one for all, or each."""

    def check(self, value: Any, layer: Any) -> tuple[int, ...]:
        """Return a tuple of ints of at least 1."""
        return check_lengths(self.key, value, layer.spatial)


class Inner(Setting):
    """A layer inside, or the config of one."""

    def check(self, value: Any, layer: Any) -> Any:
        """Return the layer."""
        value = from_config(value) if isinstance(value, Mapping) else value
        if not hasattr(value, "walk"):
            raise TypeError(f"{type(layer).__name__} goes around a layer, not {value!r}")
        return value

    def read(self, layer: Any) -> dict[str, Any]:
        """Return the config of the layer inside, with its kind."""
        return to_config(vars(layer)[self.name])


class Elsewhere:
    """The key of a setting whose attribute has another name: set here it would set nothing."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def __get__(self, layer: Any, owner: Any = None) -> Any:
        raise AttributeError(f"{self.setting.key} is had as {self.setting.name!r}")

    def __set__(self, layer: Any, value: Any) -> None:
        raise AttributeError(
            f"{self.setting.key} of {layer.path} is set as its attribute {self.setting.name!r}"
        )


def declare(kind: Any) -> None:
    """Collect the settings of a class of layers, and make its signature of them."""
    names = dict.fromkeys(
        name for base in reversed(kind.__mro__) for name, found in vars(base).items()
        if isinstance(found, Setting)
    )
    found = [inspect.getattr_static(kind, name) for name in names]
    found = sorted((one for one in found if isinstance(one, Setting)), key=lambda one: one.last)
    kind.settings = {one.key: one for one in found}
    kind.noises = tuple(one.name for one in kind.settings.values() if isinstance(one, Noise))
    for key, one in kind.settings.items():
        if key != one.name and inspect.getattr_static(kind, key, None) is None:
            setattr(kind, key, Elsewhere(one))
    first = [key for key in kind.positional.split() if key in kind.settings]
    rest = [key for key in kind.settings if key not in first]
    form = inspect.Parameter
    kind.setting_signature = inspect.Signature([
        *(form(key, form.POSITIONAL_OR_KEYWORD, default=kind.settings[key].default)
          for key in first),
        *(form(key, form.KEYWORD_ONLY, default=kind.settings[key].default) for key in rest),
        form("name", form.KEYWORD_ONLY, default=None),
    ])
    own = next(base for base in kind.__mro__ if "__init__" in vars(base))
    if own.__name__ == "Layer":
        kind.__signature__ = kind.setting_signature
    else:
        _, *others = inspect.signature(kind.__init__).parameters.values()
        kind.__signature__ = inspect.Signature(others)
    KINDS[name_of(kind)] = kind


def bind(layer: Any, args: Any, given: Mapping[str, Any]) -> None:
    """Set the settings of a new layer, those of its noise last, which are made of the others."""
    try:
        bound = type(layer).setting_signature.bind(*args, **given)
    except TypeError as error:
        check_words(type(layer), given)
        raise TypeError(f"{type(layer).__name__}: {error}") from None
    bound.apply_defaults()
    for setting in sorted(layer.settings.values(), key=lambda one: isinstance(one, Noise)):
        setting.__set__(layer, bound.arguments[setting.key])
    layer.check_settings()
    layer.is_made = True


def name_of(kind: type) -> str:
    """Return what stands for a class of layers in a config: of our own, its name in lower case."""
    if kind in _REGISTERED:
        return _REGISTERED[kind]
    return kind.__name__.lower() if is_ours(kind) else f"{kind.__module__}.{kind.__qualname__}"


@contextmanager
def one_config() -> Iterator[Any]:
    """Have a layer that stands at several places of a config described, and made, once.

    Where it comes first, and where it comes again, "tie" is its number.
    """
    known = _KNOWN.get()
    token = _KNOWN.set({} if known is None else known)
    try:
        yield _KNOWN.get()
    finally:
        _KNOWN.reset(token)


def register(name: str) -> Callable[[type[T]], type[T]]:
    """Give a class of layers a name of its own in configs and files, wherever it is defined.

    Without one it is known by its module and name, and a file made where it was called
    ``__main__.Swish`` cannot be read where it is ``mine.Swish``.

    Raises
    ------
    ValueError
        If the name is that of another class, or empty.
    TypeError
        If what is registered is no class of layers.

    Examples
    --------
    >>> import numpy as np
    >>> from cydropout.layers import Layer, Sequential, register
    >>> @register("swish")
    ... class Swish(Layer):
    ...     def forward(self, x, ctx):
    ...         s = 1 / (1 + np.exp(-x))
    ...         return x * s, lambda dy: dy * (s + x * s * (1 - s))
    >>> Sequential([Swish()]).get_config()["layers"]
    [{'kind': 'swish'}]
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"a class is registered by a name, not {name!r}")

    def enter(kind: type[T]) -> type[T]:
        if not isinstance(kind, type) or not hasattr(kind, "setting_signature"):
            raise TypeError(f"register takes a class of layers, not {kind!r}")
        before = KINDS.get(name, kind)
        if (before.__module__, before.__qualname__) != (kind.__module__, kind.__qualname__):
            raise ValueError(f"the name {name!r} is that of {before.__module__}.{before.__name__}")
        KINDS[name], _REGISTERED[kind] = kind, name
        return kind

    return enter


def to_config(layer: Any) -> dict[str, Any]:
    """Return a layer's kind and config, from which `from_config` makes it again."""
    with one_config() as known:
        _, config = known.setdefault(id(layer), (layer, {}))
        if config:
            tie = config.setdefault("tie", sum("tie" in one for _, one in known.values()))
            return {"kind": config["kind"], "tie": tie}
        config.update(kind=name_of(type(layer)))
        config.update(layer.get_config())
        whole: dict[str, Any] = config
        return whole


def from_config(config: Mapping[str, Any]) -> Any:
    """Return the layer of a config that names its kind."""
    settings = dict(config)
    kind, tie = settings.pop("kind", None), settings.pop("tie", None)
    if kind not in KINDS:
        raise ValueError(
            f"kind {kind!r} is no layer; import the module that defines it, give the class that "
            f"name with cydropout.layers.register, or use one of {', '.join(sorted(KINDS))}"
        )
    with one_config() as known:
        if tie is None or tie not in known:
            layer = KINDS[kind].from_config(settings)  # type: ignore[attr-defined]
            return layer if tie is None else known.setdefault(tie, layer)
        return known[tie]
