"""What the Python code is told of the kernels, and what they say to a wrong call."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from cydropout._kernels import api

KERNELS = Path(__file__).parents[1] / "src" / "cydropout" / "_kernels"
COMPILED = ["api.pyx", "*.pxi", "*/launch.pxi", "*/step.pxi"]


def stub(text):
    """Public names of a stub, those of methods after their class, and the parameters of each."""
    found = {}

    def walk(nodes, owner=""):
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                args = node.args
                found[owner + node.name] = [arg.arg for arg in args.args + args.kwonlyargs
                                            if arg.arg != "self"]
            elif isinstance(node, ast.ClassDef) and not node.bases:
                walk(node.body, f"{node.name}.")

    walk(ast.parse(text).body)
    return found


def parameters(text):
    """The names of what stands between the parentheses of a Cython signature."""
    parts = re.sub(r"\s+", " ", text).split(",")
    names = [re.split(r"[ *]", part.split("=")[0].strip())[-1] for part in parts]
    return [name for name in names if name and name != "self"]


def compiled(text):
    """The same of a Cython source."""
    found, owner = {}, ""
    pattern = r"^cdef class (\w+)|^(    )?def (\w+)\(([^)]*)\)"
    for match in re.finditer(pattern, text, re.M):
        name, inside, function, arguments = match.groups()
        if name:
            owner = f"{name}."
        elif not function.startswith("_") or function == "__cinit__":
            function = function.replace("__cinit__", "__init__")
            found[(owner if inside else "") + function] = parameters(arguments)
    return found


@pytest.mark.skipif(not KERNELS.is_dir(), reason="the sources are not beside the tests")
def test_the_stub_says_what_is_compiled():
    sources = [path for pattern in COMPILED for path in KERNELS.glob(pattern)]
    assert stub((KERNELS / "api.pyi").read_text()) == compiled(
        "\n".join(path.read_text() for path in sources if path.name != "kernels.pxi")
    )


def test_the_comparison_sees_a_name_and_a_parameter():
    found = {"A.f": ["x", "y", "z"], "g": []}
    source = "cdef class A:\n    def f(self, const int *x, B y=None, *, double z):\n\ndef g():\n"
    assert compiled(source) == found
    assert stub("class A:\n    def f(self, x, y=..., *, z): ...\ndef g(): ...\n") == found


def test_a_kernel_without_the_dtype_is_an_error(build):
    half = np.zeros((4, 8), np.float16)
    code, before = api.ready(half, None), half.copy()
    with pytest.raises(TypeError, match="no dtype_t 0"):
        api.softmax(half, half, half, None, None, None, False, 1.0, 1.0, code)
    with pytest.raises(TypeError, match="no dtype_t"):
        api.softmax(half, half, half, None, None, None, False, 1.0, 1.0, 7)
    with pytest.raises(TypeError, match="no dtype_t -1"):
        api.Plan(1, 2, 0, half.size, (2**31, 2.0), False).apply(half, half, -1)
    np.testing.assert_array_equal(half, before)


def test_an_unknown_kind_is_an_error():
    x = np.ones((2, 3, 4, 1))
    plan = api.Plan(1, 2, 0, x.size, (2**31, 2.0), False)
    with pytest.raises(ValueError, match="no kernel of several arrays"):
        plan.joint(api.Kernel.UNFOLD, [x, x], [x], 3)
    with pytest.raises(ValueError, match="no kernel over windows"):
        api.windows(api.Kernel.ZONEOUT, x, x, 3, x.shape, (1, 1), (1, 1), (1, 1), (0, 0))
    with pytest.raises(ValueError, match="no kernel of batch_norm"):
        api.normalise(-1, x.reshape(6, 4), None, None, 3, x[0, 0])
    with pytest.raises(ValueError, match="unknown kind 'sdg'; known are sgd, adam, rmsprop"):
        api.step("sdg", x, x, None, None, learning_rate=0.1)
    with pytest.raises(ValueError, match="unknown kind 'lsmt'"):
        api.Recurrence("lsmt", x, x, None, None, x, None, x, x, [(None, 0, 0, 1.0)] * 4, 3)
    assert (x == 1).all()
