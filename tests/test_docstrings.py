"""Every public function and class shows an example in its docstring, and the examples run."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import cydropout

#: All that are written in Python; those of the compiled ones have no examples.
MODULES = [found.name for found in pkgutil.walk_packages(cydropout.__path__, "cydropout.")
           if not found.name.startswith(("cydropout.__main__", "cydropout._kernels."))]
#: Where users look.
FACES = [
    "", "functional", "layers", "masks", "onnx", "random", "sklearn", "torch", "training",
    "training.callbacks", "training.data", "training.losses", "training.optimizers",
    "training.schedules", "tuning",
]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS

#: What has no example yet. The set may only shrink.
MISSING: set[str] = set()


def public():
    """Return the public functions and classes by their names, each once."""
    found = {}
    for name in FACES:
        module = importlib.import_module(f"cydropout.{name}".rstrip("."))
        own = [key for key, value in vars(module).items() if not key.startswith("_")
               and getattr(value, "__module__", None) == module.__name__]
        for key in getattr(module, "__all__", own):
            value = getattr(module, key)
            if (inspect.isroutine(value) or inspect.isclass(value)) and not (
                    inspect.isclass(value) and issubclass(value, BaseException)):
                found.setdefault(value, f"{name}.{key}".lstrip("."))
    return {name: value for value, name in found.items()}


PUBLIC = public()


def shown(value):
    """Whether the docstring has a section of examples."""
    return bool(re.search(r"^ *Examples\n *-+\n(.*\n)* *>>> ", value.__doc__ or "", re.MULTILINE))


@pytest.mark.parametrize("name", PUBLIC)
def test_help_opens_with_a_signature_that_can_be_read(name):
    try:
        text = str(inspect.signature(PUBLIC[name]))
    except ValueError:
        pytest.skip("no signature: it is compiled")
    assert len(text) < 900 and "_SupportsArray" not in text


def test_the_public_names_are_found():
    assert len(PUBLIC) > 150
    assert {"dropout", "MaskStream", "layers.Dropout", "training.optimizers.Adam"} <= set(PUBLIC)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    if name.startswith("cydropout.torch"):
        pytest.importorskip("torch")
    runner, failures = doctest.DocTestRunner(optionflags=OPTIONS), []
    for example in doctest.DocTestFinder().find(importlib.import_module(name), name):
        runner.run(example, out=failures.append)
    assert not failures, "".join(failures)


def test_every_public_name_has_an_example_or_is_known_to_miss_it():
    missing = {name for name, value in PUBLIC.items() if not shown(value)}
    assert not missing - MISSING, "these need an Examples section"
    assert not MISSING - missing, "these have one: take them out of MISSING"


def test_an_example_that_is_wrong_or_missing_is_seen():
    def wrong():
        """Return two.

        Examples
        --------
        >>> 1 + 1
        3
        """

    def bare():
        """Return two."""

    assert shown(wrong) and not shown(bare)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    example, = doctest.DocTestFinder().find(wrong, "wrong", globs={})
    assert runner.run(example, out=lambda text: None).failed == 1
