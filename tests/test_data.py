"""Data sets: what good files give, and what every kind of damage says."""

import gzip
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_cases import (
    NAMES,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    assert_same,
    header,
    write,
)

from cydropout.training import data
from cydropout.training.data import Dataset, load_digits, load_mnist

PUBLISHED = {"mnist": "mnist", "fashion": "fashion-mnist"}  # variant: directory


def assert_holds(dataset: Dataset, arrays: list[np.ndarray]) -> None:
    for got, raw in zip(dataset, arrays, strict=True):
        image = raw.ndim == 3
        assert got.dtype == (np.float32 if image else np.int64)
        assert got.flags.c_contiguous and got.flags.writeable
        expected = raw.astype(np.float32) / np.float32(255) if image else raw
        np.testing.assert_array_equal(got, expected)


# --- what good files give -----------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["mnist", "fashion"])
@pytest.mark.parametrize("as_type", [str, Path])
def test_reads_compressed_idx(
    folder: Path, arrays: list[np.ndarray], variant: data.Variant, as_type: Callable
) -> None:
    assert_holds(load_mnist(as_type(folder), variant), arrays)


def test_reads_plain_idx_and_any_mixture(folder: Path, arrays: list[np.ndarray]) -> None:
    for name in NAMES[:3]:
        (folder / name).write_bytes(gzip.decompress((folder / f"{name}.gz").read_bytes()))
        (folder / f"{name}.gz").unlink()
    assert_holds(load_mnist(folder), arrays)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_npz(tmp_path: Path, arrays: list[np.ndarray], save: Callable) -> None:
    save(tmp_path / "mnist.npz", **dict(zip(Dataset._fields, arrays, strict=True)))
    assert_holds(load_mnist(tmp_path), arrays)


def test_idx_goes_before_npz(folder: Path, arrays: list[np.ndarray]) -> None:
    (folder / "mnist.npz").write_bytes(b"never read")
    assert_holds(load_mnist(folder), arrays)


# --- damage to IDX files ------------------------------------------------------------------------


IMAGES_20 = bytes(20 * 28 * 28)
DAMAGE = {
    "empty": (TRAIN_IMAGES, b"", "holds 0 bytes, expected a header of 16"),
    "header cut": (TRAIN_LABELS, header(2049), "holds 4 bytes, expected a header of 8"),
    "one byte less": (TRAIN_LABELS, header(2049, 20) + bytes(19), "19 bytes.*expected 20"),
    "one byte more": (TEST_LABELS, header(2049, 10) + bytes(11), "11 bytes.*expected 10"),
    "count too high": (TRAIN_IMAGES, header(2051, 21, 28, 28) + IMAGES_20, "expected 16464"),
    "unknown magic": (TRAIN_IMAGES, header(7, 20, 28, 28) + IMAGES_20, "with 7; expected 2051"),
    "little-endian": (TEST_LABELS, struct.pack("<2I", 2049, 10) + bytes(10), "expected 2049"),
    "images, not labels": (
        TRAIN_LABELS,
        header(2051, 20, 28, 28) + IMAGES_20,
        "2051, which marks an images file; expected 2049, a labels file",
    ),
    "labels, not images": (
        TEST_IMAGES,
        header(2049, 10) + bytes(10),
        "2049, which marks a labels file; expected 2051, an images file",
    ),
    "not 28 x 28": (TRAIN_IMAGES, header(2051, 20, 14, 56) + IMAGES_20, r"\(20, 14, 56\)"),
    "no images": (TEST_IMAGES, header(2051, 0, 28, 28), r"\(0, 28, 28\), expected uint8"),
    "label 10": (TRAIN_LABELS, header(2049, 20) + bytes(19) + b"\n", "0 to 10, expected 0 to 9"),
    "labels missing": (TEST_LABELS, header(2049, 9) + bytes(9), "9 labels, expected 10"),
}


@pytest.mark.parametrize(("name", "content", "message"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_idx(
    folder: Path, name: str, content: bytes, message: str, compressed: bool
) -> None:
    if compressed:
        write(folder, name, content)
    else:
        (folder / f"{name}.gz").unlink()
        (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_mnist(folder)
    assert name in str(caught.value)


@pytest.mark.parametrize("where", range(4))
@pytest.mark.parametrize(
    "damage",
    [
        lambda gz: gz[:-1],
        lambda gz: gz[: len(gz) // 2],
        lambda gz: gz[:-8] + bytes([gz[-8] ^ 1]) + gz[-7:],
        lambda gz: gz[:10] + b"\xff" * 20 + gz[30:],
        lambda gz: b"<html>not found</html>",
        lambda gz: gzip.decompress(gz),
    ],
    ids=["last byte cut", "half", "checksum", "garbled", "a web page", "not compressed"],
)
def test_damaged_gzip(folder: Path, where: int, damage: Callable[[bytes], bytes]) -> None:
    path = folder / f"{NAMES[where]}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{path.name} is not a whole gzip file"):
        load_mnist(folder)


# --- damage to mnist.npz ------------------------------------------------------------------------


@pytest.mark.parametrize("missing", Dataset._fields)
def test_npz_lacks_an_array(tmp_path: Path, arrays: list[np.ndarray], missing: str) -> None:
    held = dict(zip(Dataset._fields, arrays, strict=True))
    del held[missing]
    np.savez(tmp_path / "mnist.npz", **held)
    with pytest.raises(ValueError, match=rf"mnist\.npz: no array named {missing}; expected"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("x_train", np.zeros((20, 784), np.uint8), r"x_train holds uint8 of shape \(20, 784\)"),
        ("x_test", np.zeros((10, 28, 28), np.float32), "x_test holds float32"),
        ("y_train", np.zeros((20, 10), np.uint8), r"y_train holds uint8 of shape \(20, 10\)"),
        ("y_test", np.zeros(10), "y_test holds float64"),
        ("y_test", np.full(10, -1), "y_test holds labels -1 to -1, expected 0 to 9"),
        ("y_test", np.zeros(11, np.uint8), "y_test holds 11 labels, expected 10"),
        ("y_test", np.array([{}] * 10), "Object arrays cannot be loaded"),
    ],
)
def test_npz_holds_something_else(
    tmp_path: Path, arrays: list[np.ndarray], key: str, value: np.ndarray, message: str
) -> None:
    held = dict(zip(Dataset._fields, arrays, strict=True)) | {key: value}
    np.savez(tmp_path / "mnist.npz", **held)
    with pytest.raises(ValueError, match=message) as caught:
        load_mnist(tmp_path)
    assert "mnist.npz" in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda npz: b"",
        lambda npz: b"not an archive",
        lambda npz: npz[:-1],
        lambda npz: npz[: len(npz) // 2],
        lambda npz: npz[:1000] + bytes([npz[1000] ^ 1]) + npz[1001:],
    ],
    ids=["empty", "no zip", "last byte cut", "half", "one bit"],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_npz(
    tmp_path: Path, arrays: list[np.ndarray], save: Callable, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "mnist.npz"
    save(path, **dict(zip(Dataset._fields, arrays, strict=True)))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"mnist\.npz: .*; expected an npz archive of x_train"):
        load_mnist(tmp_path)


# --- what is missing ----------------------------------------------------------------------------


def test_missing_directory_lists_what_was_sought(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist(tmp_path / "absent")
    for part in ("absent", *NAMES, "mnist.npz"):
        assert part in str(caught.value)


def test_missing_file_is_the_only_one_named(folder: Path) -> None:
    (folder / f"{TEST_LABELS}.gz").unlink()
    with pytest.raises(FileNotFoundError, match=TEST_LABELS) as caught:
        load_mnist(folder)
    assert TRAIN_IMAGES not in str(caught.value)


def test_npz_is_never_fashion(tmp_path: Path, arrays: list[np.ndarray]) -> None:
    np.savez(tmp_path / "mnist.npz", **dict(zip(Dataset._fields, arrays, strict=True)))
    with pytest.raises(FileNotFoundError, match=TRAIN_IMAGES):
        load_mnist(tmp_path, "fashion")


def test_unknown_variant() -> None:
    with pytest.raises(ValueError, match="'mnist' or 'fashion', not 'kmnist'"):
        load_mnist(variant="kmnist")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("module", "load"), [("pooch", load_mnist), ("sklearn", load_digits)]
)
def test_missing_extra(monkeypatch: pytest.MonkeyPatch, module: str, load: Callable) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # how Python marks a module as not importable
    with pytest.raises(ImportError, match=r"pip install 'cydropout\[train\]'"):
        load()


# --- fetching -----------------------------------------------------------------------------------


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path], None]:
    """Return a function that serves a directory in place of the network, with an empty cache."""
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)

    def serve(source: Path) -> None:
        def download(url: str, output_file: str, pooch: object) -> None:
            shutil.copyfile(source / url.rpartition("/")[2], output_file)

        monkeypatch.setattr(pooch.core, "choose_downloader", lambda *args, **kwargs: download)

    return serve


@pytest.mark.parametrize("variant", PUBLISHED)
def test_fetches_once(
    mirror: Callable, data_directory: Path, tmp_path: Path, variant: data.Variant
) -> None:
    mirror(data_directory / PUBLISHED[variant])
    fetched = load_mnist(variant=variant)
    mirror(tmp_path / "offline")
    assert_same(load_mnist(variant=variant), fetched)


def test_fetched_file_of_another_hash(mirror: Callable, folder: Path) -> None:
    mirror(folder)
    with pytest.raises(ValueError, match="(?i)hash"):
        load_mnist()


def test_fetching_without_a_network(mirror: Callable, tmp_path: Path) -> None:
    mirror(tmp_path / "offline")
    with pytest.raises(ConnectionError, match=r"cannot fetch https://.*pass directory="):
        load_mnist()


# --- the real data ------------------------------------------------------------------------------


def test_digits() -> None:
    digits = load_digits()
    assert [part.shape for part in digits] == [(1347, 8, 8), (1347,), (450, 8, 8), (450,)]
    assert [part.dtype for part in digits] == [np.float32, np.int64] * 2
    assert min(digits.x_train.min(), digits.x_test.min()) == 0
    assert max(digits.x_train.max(), digits.x_test.max()) == 1
    shares = np.bincount(digits.y_train) / 1347 - np.bincount(digits.y_test) / 450
    assert np.abs(shares).max() < 0.002  # stratified
    assert_same(load_digits(), digits)


@pytest.mark.parametrize("variant", PUBLISHED)
def test_published_files(data_directory: Path, variant: data.Variant) -> None:
    dataset = load_mnist(data_directory / PUBLISHED[variant], variant)
    assert [part.shape for part in dataset] == [
        (60000, 28, 28),
        (60000,),
        (10000, 28, 28),
        (10000,),
    ]
    assert dataset.x_train.min() == 0 and dataset.x_train.max() == 1
    means = {"mnist": 0.1307, "fashion": 0.2860}  # as widely published
    assert dataset.x_train.mean(dtype=np.float64) == pytest.approx(means[variant], abs=5e-5)
    assert set(np.unique(dataset.y_train)) == set(np.unique(dataset.y_test)) == set(range(10))


@pytest.mark.parametrize("variant", PUBLISHED)
def test_published_files_of_the_other_variant(data_directory: Path, variant: data.Variant) -> None:
    other = "fashion" if variant == "mnist" else "mnist"
    with pytest.raises(ValueError, match=f"of '{other}', expected {TRAIN_IMAGES} of '{variant}'"):
        load_mnist(data_directory / PUBLISHED[other], variant)


def test_published_files_swapped(data_directory: Path, folder: Path) -> None:
    source = data_directory / "mnist"
    for kind in ("images-idx3", "labels-idx1"):
        shutil.copyfile(source / f"t10k-{kind}-ubyte.gz", folder / f"train-{kind}-ubyte.gz")
    with pytest.raises(ValueError, match=f"is {TEST_IMAGES} of 'mnist', expected {TRAIN_IMAGES}"):
        load_mnist(folder)
