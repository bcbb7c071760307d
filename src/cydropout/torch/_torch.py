"""PyTorch: where it is imported, which versions will do, and its threads."""

import ctypes
import importlib
from pathlib import Path
from typing import Any

from cydropout._optional import require
from cydropout.functional.host import set_host

OLDEST = (2, 10)

torch: Any = require("torch", "torch")
#: Where PyTorch keeps the operators of others.
registry: Any = vars(torch)["library"]


def check_version(version: str) -> None:
    """Raise `ImportError` for a version of PyTorch before 2.10."""
    found = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if found < OLDEST:
        raise ImportError(
            f"cydropout.torch needs PyTorch 2.10 or newer, not {version}; "
            "update it with: pip install --upgrade torch"
        )


def lend_threads() -> bool:
    """Have the kernels run on PyTorch's own threads, as many as `torch.get_num_threads` says.

    Where its library does not offer them, they run on one thread.
    """
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        path = Path(torch.__file__).parent / "lib" / name
        if not path.exists():
            continue
        library = ctypes.CDLL(str(path))
        try:
            addresses = [
                ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value or 0
                for symbol in ("torch_parallel_for", "torch_get_num_threads")
            ]
        except AttributeError:
            return False
        set_host("PyTorch", *addresses)
        return True
    return False


def random_operators() -> list[Any]:
    """Return the list of operators of which the compiler never takes two calls for one."""
    return importlib.import_module("torch._functorch.compile_utils").rand_ops  # type: ignore[no-any-return]


check_version(torch.__version__)
lend_threads()
