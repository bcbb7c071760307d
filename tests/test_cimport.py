"""The C API: another package is compiled against the installed one, and runs."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference

SOURCE = Path(__file__).parent / "cimporter"


def compiled(directory):
    """Build the package of a directory, and return its module."""
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"], cwd=directory,
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = directory.glob("user.*.pyd" if sys.platform == "win32" else "user.*.so")
    spec = importlib.util.spec_from_file_location("user", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    pytest.importorskip("Cython")
    directory = tmp_path_factory.mktemp("cimporter")
    for file in SOURCE.iterdir():
        if file.is_file():
            shutil.copy(file, directory)
    return compiled(directory)


def test_what_the_page_of_embedding_shows(tmp_path):
    pytest.importorskip("Cython")
    page = Path(__file__).parents[1] / "docs/embedding.md"
    if not page.exists():
        pytest.skip("the docs are not beside the tests")
    text = page.read_text(encoding="utf-8")
    for kind, name in (("cython", "user.pyx"), ("python", "setup.py")):
        block = re.search(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        (tmp_path / name).write_text(block[1], encoding="utf-8")
    x = np.arange(1, 301, dtype="f8")
    kept = reference.keep(5, 2, (300,), 0.25, 0)
    want = np.where(kept, x * (2**32 / round(0.75 * 2**32)), 0)
    compiled(tmp_path).drop(5, 2, 0.25, x)
    np.testing.assert_allclose(x, want, rtol=1e-15)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("size, offset", [(1, 0), (129, 5), (100_003, 2**40 + 77)])
def test_the_c_face(user, size, offset, rate):
    key, draw = 2**63 + 11, 4
    kept = reference.keep(key, draw, (size,), rate, offset)
    words = np.full(-(-size // 32) + 1, 0xDEADBEEF, np.uint32)
    user.draw(key, draw, offset, rate, words, size)
    np.testing.assert_array_equal(words[:-1], reference.packed(kept))
    assert words[-1] == 0xDEADBEEF
    x = np.random.default_rng(0).standard_normal(size)
    x32 = x.astype("f4")
    y32 = np.empty_like(x32)
    user.apply(x32, words, 3.0, y32)
    np.testing.assert_array_equal(y32, reference.dropout(x32, kept, 3.0))
    expected = reference.dropout(x, kept, reference.scale(rate))
    user.dropout(key, draw, offset, rate, x)
    np.testing.assert_array_equal(x, expected)
    assert user.keep_threshold(rate) == reference.threshold(rate)
