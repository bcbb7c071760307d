"""Data to train on: the digits that scikit-learn embeds, and MNIST or Fashion-MNIST from files."""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from cydropout import _sklearn
from cydropout._files.replace import expanded
from cydropout._optional import require
from cydropout._validate import check_count

__all__ = ["Dataset", "Variant", "load_digits", "load_mnist", "shuffled"]

Variant = Literal["mnist", "fashion"]

_IMAGES, _LABELS = 2051, 2049  # IDX magic numbers: unsigned bytes in three dimensions, and in one
_KINDS = {_IMAGES: "an images file", _LABELS: "a labels file"}
_MAGIC = {
    "train-images-idx3-ubyte": _IMAGES,
    "train-labels-idx1-ubyte": _LABELS,
    "t10k-images-idx3-ubyte": _IMAGES,
    "t10k-labels-idx1-ubyte": _LABELS,
}
_NPZ = "mnist.npz"
_RATIO = 1032  # of deflate, at most
_LARGEST = 2**30  # bytes that a compressed file may unpack to: MNIST's have 47 million
_URLS = {
    "mnist": "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "fashion": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
}
# sha256 of the published .gz files, in the order of _MAGIC
_HASHES = {
    "mnist": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}
_PUBLISHED = {
    digest: f"{name} of {variant!r}"
    for variant, digests in _HASHES.items()
    for name, digest in zip(_MAGIC, digests, strict=True)
}


class Dataset(NamedTuple):
    """Images, float32 in [0, 1], shape ``(n, height, width)``; labels, int64, shape ``(n,)``.

    Examples
    --------
    >>> from cydropout.training.data import load_digits
    >>> data = load_digits()
    >>> data.x_test.dtype, data.y_test.shape
    (dtype('float32'), (450,))
    """

    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]


def load_digits() -> Dataset:
    """Return 1797 handwritten digits of 8 x 8 pixels, a quarter of them for testing.

    The images ship inside scikit-learn, so nothing is fetched. The split keeps the share of each
    digit and is always the same. Without scikit-learn, an `ImportError` names the extra.

    Examples
    --------
    >>> data = load_digits()
    >>> data.x_train.shape, data.x_test.shape, data.y_train.dtype
    ((1347, 8, 8), (450, 8, 8), dtype('int64'))
    """
    digits = _sklearn.part("datasets", "train").load_digits()
    split = _sklearn.part("model_selection", "train").train_test_split
    x = (digits.images / 16.0).astype(np.float32)  # 17 grey levels, 0 to 16
    y = digits.target.astype(np.int64)
    x_train, x_test, y_train, y_test = split(x, y, test_size=0.25, stratify=y, random_state=0)
    return Dataset(x_train, y_train, x_test, y_test)


def load_mnist(
    directory: str | os.PathLike[str] | None = None, variant: Variant = "mnist"
) -> Dataset:
    """Return MNIST, or Fashion-MNIST: images of 28 x 28 pixels in ten classes.

    Parameters
    ----------
    directory
        Where to read: the four IDX files (``train-images-idx3-ubyte.gz`` and its three siblings,
        compressed or not), or, for ``"mnist"``, Keras's ``mnist.npz``. ``None`` fetches the IDX
        files once, checks their sha256, and keeps them in the user's cache.
    variant
        ``"mnist"`` or ``"fashion"``.

    Raises
    ------
    FileNotFoundError
        Where a file is missing; the message lists what was sought.
    ValueError
        Where a file is truncated, corrupted, or not what its name says.
    ConnectionError
        Where a file cannot be fetched.
    ImportError
        Where pooch, which fetches, is missing; it comes with ``cydropout[train]``.

    Examples
    --------
    >>> load_mnist("data", "letters")
    Traceback (most recent call last):
    ValueError: variant must be 'mnist' or 'fashion', not 'letters'
    """
    if not isinstance(variant, str) or variant not in get_args(Variant):
        raise ValueError(f"variant must be 'mnist' or 'fashion', not {variant!r}")
    if directory is None:
        paths = _fetch(variant)
    else:
        folder = expanded(directory, "directory")
        names = [(f"{name}.gz", name) for name in _MAGIC]
        found = [next((folder / n for n in two if (folder / n).is_file()), None) for two in names]
        if variant == "mnist" and not any(found) and (folder / _NPZ).is_file():
            return _read_npz(folder / _NPZ)
        if None in found:
            sought = [f"{name}[.gz]" for name, path in zip(_MAGIC, found, strict=True) if not path]
            instead = f", or {_NPZ} alone" if variant == "mnist" else ""
            raise FileNotFoundError(f"{folder} lacks {', '.join(sought)}{instead}")
        paths = [path for path in found if path is not None]
    return _dataset([_read_idx(path, variant) for path in paths], [str(path) for path in paths])


def _fetch(variant: Variant) -> list[Path]:
    pooch = require("pooch", "train")
    cache = Path(pooch.os_cache("cydropout")) / variant
    paths = []
    for name, digest in zip(_MAGIC, _HASHES[variant], strict=True):
        url = f"{_URLS[variant]}{name}.gz"
        try:
            path = pooch.retrieve(url, f"sha256:{digest}", fname=f"{name}.gz", path=cache)
        except OSError as error:
            message = f"cannot fetch {url} ({error}); pass directory= with the four files in it"
            raise ConnectionError(message) from error
        paths.append(Path(path))
    return paths


def _read_idx(path: Path, variant: Variant) -> NDArray[np.uint8]:
    name, compressed = path.name.removesuffix(".gz"), path.suffix == ".gz"
    magic = _MAGIC[name]
    header = 16 if magic == _IMAGES else 8
    with path.open("rb") as file:
        source: Any = file
        if compressed:
            # both variants use these names: only the hash can tell that a file was swapped
            digest = hashlib.sha256()
            for block in iter(lambda: file.read(2**20), b""):
                digest.update(block)
            expected = f"{name} of {variant!r}"
            really = _PUBLISHED.get(digest.hexdigest(), expected)
            if really != expected:
                raise ValueError(f"{path} is {really}, expected {expected}")
            file.seek(0)
            source = gzip.GzipFile(fileobj=file)

        def read(count: int) -> bytes:
            try:
                found: bytes = source.read(count)
            except Exception as error:
                kind = "not a whole gzip file" if compressed else "not readable"
                raise ValueError(f"{path} is {kind}: {error!r}") from error
            return found

        start = read(header)
        if len(start) < header:
            raise ValueError(f"{path} holds {len(start)} bytes, expected a header of {header}")
        found, *shape = np.frombuffer(start, dtype=">u4").tolist()
        if found != magic:
            kind = f", which marks {_KINDS[found]}" if found in _KINDS else ""
            raise ValueError(f"{path} starts with {found}{kind}; expected {magic}, {_KINDS[magic]}")
        promised, size = math.prod(shape), os.fstat(file.fileno()).st_size
        most = min(_RATIO * size, _LARGEST) if compressed else size - header
        content = read(promised + 1) if promised <= most else b""  # one more tells of any more
    if len(content) != promised:
        held = f"at most {most}" if promised > most else f"{len(content)}"
        raise ValueError(f"{path} holds {held} bytes after its header, expected {promised}")
    values: np.ndarray = np.frombuffer(content, dtype=np.uint8).reshape(shape)
    return values


def _read_npz(path: Path) -> Dataset:
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {name.removesuffix(".npy"): name for name in archive.namelist()}
                missing = [key for key in Dataset._fields if key not in members]
                if missing:
                    raise ValueError(f"no array named {', '.join(missing)}")
                arrays = [_read_npy(archive, members[key]) for key in Dataset._fields]
        except Exception as error:  # what damage can raise is no closed list
            expected = f"expected an npz archive of {', '.join(Dataset._fields)}"
            raise ValueError(f"{path}: {error or repr(error)}; {expected}") from error
    return _dataset(arrays, [f"{path}: {key}" for key in Dataset._fields])


def _read_npy(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Read an array after a look at what the archive and its header promise."""
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way that NumPy does not write")
    if member.file_size > min(_RATIO * member.compress_size, _LARGEST):
        raise ValueError(f"{name} cannot hold {member.file_size} bytes")
    with archive.open(member) as source:
        content = io.BytesIO(source.read(member.file_size))
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0
    }[np.lib.format.read_magic(content)]
    shape, _, dtype = read_header(content)
    promised, size = math.prod(shape) * dtype.itemsize, member.file_size - content.tell()
    if promised != size and not dtype.hasobject:
        raise ValueError(f"{name} holds {size} bytes after its header, expected {promised}")
    content.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
    return array


def _dataset(arrays: Sequence[NDArray[Any]], names: Sequence[str]) -> Dataset:
    """Check ``x_train, y_train, x_test, y_test`` and convert them."""
    for i in (0, 2):
        (x, y), (x_name, y_name) = arrays[i : i + 2], names[i : i + 2]
        if x.dtype != np.uint8 or x.ndim != 3 or x.shape[1:] != (28, 28) or len(x) == 0:
            raise ValueError(
                f"{x_name} holds {x.dtype} of shape {x.shape}, expected uint8 of shape (n, 28, 28)"
            )
        if y.dtype.kind not in "iu" or y.ndim != 1:
            raise ValueError(
                f"{y_name} holds {y.dtype} of shape {y.shape}, expected integers of shape (n,)"
            )
        if len(x) != len(y):
            raise ValueError(f"{y_name} holds {len(y)} labels, expected {len(x)}, as {x_name} does")
        if y.min() < 0 or y.max() > 9:
            raise ValueError(f"{y_name} holds labels {y.min()} to {y.max()}, expected 0 to 9")
    images = [np.divide(x, np.float32(255), dtype=np.float32) for x in arrays[::2]]
    labels = [y.astype(np.int64) for y in arrays[1::2]]
    return Dataset(images[0], labels[0], images[1], labels[1])


def shuffled(
    batches: Iterable[Any], buffer: int, rng: np.random.Generator
) -> Iterator[Any]:
    """Yield batches in another order, holding ``buffer`` of them: one at random, then the next.

    Parameters
    ----------
    batches : iterable
        Read once, one after the other.
    buffer : int
        How many are held, at least 1: the more, the better they are mixed.
    rng : numpy.random.Generator
        Decides the order.

    Examples
    --------
    >>> import numpy as np
    >>> sorted(shuffled(range(5), 3, np.random.default_rng(0)))
    [0, 1, 2, 3, 4]
    """
    check_count("buffer", buffer)
    return _shuffled(batches, buffer, rng)


def _shuffled(
    batches: Iterable[Any], buffer: int, rng: np.random.Generator
) -> Iterator[Any]:
    held: list[Any] = []
    for batch in batches:
        if len(held) < buffer:
            held.append(batch)
            continue
        place = int(rng.integers(buffer))
        yield held[place]
        held[place] = batch
    for place in rng.permutation(len(held)):
        yield held[place]
