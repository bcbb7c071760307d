"""Whatever was done to a data file, it is read right or refused by name, at no great cost."""

import contextlib
import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from data_cases import (
    NAMES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    assert_same,
    header,
    idx,
    write,
)

from cydropout.training import History, data
from cydropout.training.checkpoint import load_checkpoint
from cydropout.training.data import Dataset, load_mnist


def assert_whole_or_refused(folder: Path, name: str, content: bytes, truth: Dataset) -> bool:
    """Write the file and load it: the right data, or a ValueError that names the file."""
    (folder / name).write_bytes(content)
    try:
        loaded = load_mnist(folder)
    except ValueError as error:
        assert name in str(error)
        return False
    assert_same(loaded, truth)
    return True


@pytest.fixture(params=["mnist.npz", f"{TRAIN_IMAGES}.gz", f"{TEST_LABELS}.gz", TRAIN_LABELS])
def whole(request: pytest.FixtureRequest, tmp_path: Path, arrays: list[np.ndarray]) -> Path:
    """Return a good file of each kind, in a directory where nothing is amiss."""
    made: Path = tmp_path / request.param
    if made.suffix == ".npz":
        np.savez_compressed(made, **dict(zip(Dataset._fields, arrays, strict=True)))
        return made
    for name, array in zip(NAMES, arrays, strict=True):
        if name == made.name:
            made.write_bytes(idx(array))
        else:
            write(tmp_path, name, idx(array))
    return made


def test_a_file_cut_anywhere(whole: Path) -> None:
    content, truth = whole.read_bytes(), load_mnist(whole.parent)
    for size in range(0, len(content), max(len(content) // 150, 1)):
        assert not assert_whole_or_refused(whole.parent, whole.name, content[:size], truth)


def test_flipped_bits(whole: Path) -> None:
    content, truth = whole.read_bytes(), load_mnist(whole.parent)
    rng = np.random.default_rng(5)
    data_from = 8 if whole.suffix == "" else 0  # a plain file has no checksum of its data
    ends = [*range(min(120, len(content))), *range(max(len(content) - 300, 0), len(content))]
    for place in [*ends, *rng.integers(0, len(content), 200)]:
        if data_from and place >= data_from:
            continue
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        assert_whole_or_refused(whole.parent, whole.name, bytes(flipped), truth)


def npz(headers: dict[str, bytes], **how: int) -> bytes:
    """Return an archive of arrays of no data, of which one has another header."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", **how) as archive:  # type: ignore[arg-type]
        for key in Dataset._fields:
            archive.writestr(f"{key}.npy", headers.get(key, b""))
    return made.getvalue()


def npy(shape: str, descr: str = "'|u1'", more: bytes = b"", version: bytes = b"\1\0") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    size = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text + more


HEADERS = {
    "784 TiB": npy(f"({2**40}, 28, 28)"),
    "4 EiB": npy(f"({2**62},)"),
    "beyond 64 bits": npy(f"({10**30}, 28, 28)"),
    "negative": npy("(-20, -28, 28)", more=bytes(20 * 28 * 28)),
    "no integers": npy("('a', 28, 28)"),
    "floats": npy("(1e3, 28, 28)"),
    "brackets": npy("(" * 5000),
    "signs": npy("(" + "-" * 9000 + "1,)"),
    "a long header": npy("(" + "1," * 20000 + ")"),
    "an odd dtype": npy("(1, 28, 28)", "'zz'"),
    "objects": npy("(1, 28, 28)", "'|O'"),
    "a dtype that asks for much": npy("(1,)", "'|V2000000000'"),
    "nothing in a dtype": npy(f"({2**62},)", "'|V0'"),
    "an unknown version": npy("(1,)", version=b"\7\0"),
    "an unfinished string": npy("(1, '"),
    "no dict": b"\x93NUMPY\1\0\2\0[]",
    "a header longer than the file": b"\x93NUMPY\2\0\xff\xff\xff\x7f{}",
    "nothing": b"",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_npz_with_a_made_up_header(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "mnist.npz").write_bytes(npz({"x_train": header}))
    with pytest.raises(ValueError, match=r"mnist\.npz"), no_more_than(2**26):
        load_mnist(tmp_path)


@contextlib.contextmanager
def no_more_than(size: int) -> Iterator[None]:
    """Fail if so much memory is asked for, whether it is used or not."""
    tracemalloc.start()
    try:
        yield
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < size


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_npz_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: int
) -> None:
    monkeypatch.setattr(data, "_LARGEST", 2**24)
    content = npz({"x_train": npy(f"({2**25},)", more=bytes(2**25))}, compression=method)
    (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"mnist\.npz"), no_more_than(2**23):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    ("count", "compressed"),
    [(20, True), (20, False), (2**32 - 1, True), (2**32 - 1, False), (2**25 // 784, True)],
)
def test_idx_that_holds_or_promises_too_much(
    folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, compressed: bool
) -> None:
    monkeypatch.setattr(data, "_LARGEST", 2**24)
    content = header(2051, count, 28, 28) + bytes(2**25)
    if compressed:
        write(folder, TRAIN_IMAGES, content)
    else:
        (folder / f"{TRAIN_IMAGES}.gz").unlink()
        (folder / TRAIN_IMAGES).write_bytes(content)
    with pytest.raises(ValueError, match=f"{TRAIN_IMAGES}.* bytes after its header, expected"):
        with no_more_than(2**23):
            load_mnist(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("read", [load_checkpoint, History.from_csv])
def test_only_files_are_read(read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, words in [(tmp_path, ", which is"), (tmp_path / "pipe", "a pipe"),
                        (tmp_path / "no", "no'$")]:
        with pytest.raises(FileNotFoundError, match=f"^no (checkpoint|history) at .*{words}"):
            read(path)
