"""The words of other libraries, and which of ours they stand for."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

_BUILT = "leave it out: build, or the first fit, sees what comes in"
#: Arguments and attributes, and what to write for them here.
ARGUMENTS = {
    "beta_1": "beta1", "beta_2": "beta2", "betas": "beta1 and beta2", "eps": "epsilon",
    "embed_dim": _BUILT, "in_channels": _BUILT, "in_features": _BUILT, "input_dim": _BUILT,
    "input_shape": _BUILT, "input_size": _BUILT, "kernel_initializer": "init",
    "hidden_size": "units", "lr": "learning_rate",
    "mask_zero": "padding_idx, beside the lengths of fit", "min_lr": "min_learning_rate",
    "num_heads": "heads", "out_channels": "filters",
    "out_features": "units", "p": "rate", "noise_shape": "shared_axes",
    "restore_best_weights": "restore_best", "seed": "rng, of the context or the trainer",
    "stride": "strides", "use_bias": "bias",
}
#: What models of other libraries have, and what to write here.
MODELS = {
    **dict.fromkeys(("add", "append"), "a model is made of all its layers: Sequential([...])"),
    "compile": "Trainer(model, loss, optimizer) holds all three",
    **dict.fromkeys(("eval", "train"), "model(x) is inference, Context(training=True) training"),
    **dict.fromkeys(("evaluate", "fit"), "use those of Trainer(model, loss, optimizer)"),
    "get_weights": "use state_dict", "predict": "call it: model(x)", "pop": "use model[:-1]",
    "set_weights": "use load_state_dict", "weights": "use parameters()",
}
#: Names that are taken, since they mean one thing.
ALIASES = {"mse": "mean_squared_error"}
#: Names that are not: what they stand for elsewhere takes probabilities, or is not as sure.
NAMES = {
    "bce": "binary_cross_entropy", "binary_crossentropy": "binary_cross_entropy",
    "acc": "accuracy", "val_acc": "val_accuracy",
    **dict.fromkeys(
        ("categorical_crossentropy", "cross_entropy", "crossentropy",
         "sparse_categorical_crossentropy"), "softmax_cross_entropy"),
    "nll": "negative_log_likelihood", "nll_loss": "negative_log_likelihood",
}


def our_name(value: str, known: Collection[str]) -> str:
    """Return a name as it is written here, if there is one that means the same.

    Examples
    --------
    >>> our_name("Adam", ["adam", "sgd"]), our_name("other", ["adam", "sgd"])
    ('adam', 'other')
    """
    found = ALIASES.get(value.lower(), value.lower())
    return found if found in known else value


def did_you_mean(value: Any, known: Iterable[str]) -> str:
    """Return the end of a message: which of the known names was meant, or nothing.

    Examples
    --------
    >>> did_you_mean("val_acc", ["loss", "val_accuracy"])
    "; did you mean 'val_accuracy'?"
    """
    known, name = list(known), str(value).lower()
    meant = NAMES.get(name, ALIASES.get(name, name))
    close = [meant] if meant in known else get_close_matches(meant, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_words(kind: type, given: Collection[str]) -> None:
    """Raise if a class is called with an argument of another library that it does not have.

    Examples
    --------
    >>> check_words(Worded, {"lr": 0.1})
    Traceback (most recent call last):
    TypeError: Worded has no argument 'lr'; here it is learning_rate
    """
    for word in ARGUMENTS.keys() & given:
        if word not in inspect.signature(kind).parameters:
            meant = ARGUMENTS[word]
            here = meant if meant is _BUILT else f"here it is {meant}"
            raise TypeError(f"{kind.__name__} has no argument {word!r}; {here}")


class Worded:
    """A class whose arguments are looked through for words of other libraries."""

    def __new__(cls, *args: Any, **given: Any) -> Self:
        check_words(cls, given)
        if (args or given) and cls.__init__ is object.__init__:
            raise TypeError(f"{cls.__name__}() takes no arguments")
        return super().__new__(cls)


# What a class without an __init__ takes.
Worded.__new__.__signature__ = inspect.signature(lambda cls: None)  # type: ignore[attr-defined]


class Foreign:
    """An attribute of other libraries: it cannot be read or set, and says which one to use."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, kind: type) -> Any:
        raise AttributeError(f"{kind.__name__} has no {self.name}; use {ARGUMENTS[self.name]}")

    def __set__(self, owner: Any, value: Any) -> None:
        self.__get__(owner, type(owner))
