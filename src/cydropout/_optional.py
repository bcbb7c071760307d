"""Optional dependencies: one way to import them, one way to say which extra is missing."""

import importlib
from typing import Any

import numpy as np


def require(module: str, extra: str) -> Any:
    """Import ``module``, or raise an `ImportError` that names the extra which brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"this needs {package}, which is not installed; "
            f"install it with: pip install 'cydropout[{extra}]'"
        ) from error


def blas_threads(count: int) -> Any:
    """Limit the threads of BLAS, from now on or, as a context manager, for a while."""
    return require("threadpoolctl", "train").threadpool_limits(count, user_api="blas")


def dtype(name: str) -> np.dtype[Any]:
    """Return NumPy's dtype of that name, or one that ``ml_dtypes`` brings."""
    if name not in np.sctypeDict:
        require("ml_dtypes", "bfloat16")
    return np.dtype(name)
