"""The safetensors format: 8 bytes of length, a header in JSON, and the arrays' bytes.

Written here and not by the package of that name for the checksum, which covers every byte of the
file, and for dtypes that NumPy does not know by itself.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cydropout import _optional

Array = np.ndarray[Any, Any]
#: The format's names of the dtypes, and NumPy's.
_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32",
    "I32": "int32", "U64": "uint64", "I64": "int64", "F16": "float16", "F32": "float32",
    "F64": "float64", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
}
_NAMES = {name: code for code, name in _DTYPES.items()}
_METADATA, _CHECKSUM = "__metadata__", "sha256"
_NO_CHECKSUM = "0" * 64


def check_tensor(name: str, array: Array) -> None:
    """Raise if the format cannot hold an array of this name and dtype."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"cannot save the masked array at {name!r}: fill it first")
    if array.dtype.name not in _NAMES:
        raise TypeError(
            f"cannot save the array of dtype {array.dtype} at {name!r}: use numbers, of "
            f"{', '.join(_NAMES)}"
        )
    if name == _METADATA:
        raise ValueError(f"the key {name!r} is reserved in safetensors files; use another")


def to_bytes(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> list[bytes]:
    """Return the parts of a file of these arrays, all of which `check_tensor` lets pass.

    The metadata's ``sha256`` is that of the whole file with zeros for its 64 digits.
    """
    header: dict[str, Any] = {_METADATA: {_CHECKSUM: _NO_CHECKSUM, **metadata}}
    body, end = [], 0
    # The widest first, so that each lies at a multiple of its size.
    for name, array in sorted(tensors.items(), key=lambda one: (-one[1].dtype.itemsize, one[0])):
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        begin, end = end, end + len(data)
        header[name] = {"dtype": _NAMES[array.dtype.name], "shape": [*array.shape],
                        "data_offsets": [begin, end]}
        body.append(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    head = len(text).to_bytes(8, "little") + text
    return [head.replace(_NO_CHECKSUM.encode(), _checksum(head, *body), 1), *body]


def read(path: Path, wanted: str) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays and the metadata of a file whose metadata have the format ``wanted``.

    Raises
    ------
    ValueError
        If the file is damaged, or of another format.
    ImportError
        If it holds dtypes of ``ml_dtypes``, which is not installed.
    """
    data = np.fromfile(path, np.uint8)
    size = int.from_bytes(data[:8].tobytes(), "little") + 8
    try:
        if data.size < 8 or size > data.size:
            raise ValueError(f"it ends at byte {data.size}")
        head = data[:size].tobytes()
        header = json.loads(head[8:])
        metadata = header.pop(_METADATA, {})
        if metadata.get("format") == wanted:
            digits = metadata[_CHECKSUM].encode()
            zeros = head.replace(digits, _NO_CHECKSUM.encode(), 1)
            if _checksum(zeros, data[size:]) != digits:
                raise ValueError("its checksum differs")
            tensors = {name: _tensor(data[size:], **entry) for name, entry in header.items()}
            return tensors, metadata
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # whatever JSON of another shape does to the lines above
        raise ValueError(f"{str(path)!r} is not a whole safetensors file: {error!r}") from error
    raise ValueError(
        f"{str(path)!r} is not a checkpoint this version reads: its format is "
        f"{metadata.get('format')!r}, expected {wanted!r}"
    )


def _tensor(body: Array, dtype: str, shape: list[int], data_offsets: list[int]) -> Array:
    """Return a copy of one array of the body."""
    name, (begin, end) = _DTYPES[dtype], data_offsets
    kind = _optional.dtype(name)
    if not 0 <= begin <= end <= body.size or math.prod(shape) * kind.itemsize != end - begin:
        raise ValueError(f"an array of {dtype} {shape} does not lie at {data_offsets}")
    array: Array = body[begin:end].view(kind.newbyteorder("<")).reshape(shape).astype(kind)
    return array


def _checksum(*parts: Any) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode()
