"""Files of arrays: what cannot be saved is named, what is damaged refused, what is left swept."""

import errno
import math
import os
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cydropout._files.replace import check_target, reserve
from cydropout._files.safetensors import _DTYPES
from cydropout.training.checkpoint import load_checkpoint, save_checkpoint

A, B = np.arange(3.0), np.arange(4, dtype="i4")
posix = pytest.mark.skipif(os.name != "posix", reason="locks and signals of POSIX")


def dtype_of(name):
    if name not in np.sctypeDict:
        pytest.importorskip("ml_dtypes")
    return np.dtype(name)


def same(a, b):
    """Whether two trees hold the same, arrays to the bit; tuples come back as lists."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and (a == b or (a != a and b != b))


# ---------------------------------------------------------------- what is saved


@pytest.mark.parametrize("name", _DTYPES.values())
@pytest.mark.parametrize("shape", [(), (0, 2), (5,), (2, 3)])
def test_every_dtype_comes_back(tmp_path, name, shape):
    kind = dtype_of(name)
    array = np.random.default_rng(0).integers(0, 2, shape).astype(kind)
    save_checkpoint(tmp_path / "x", {"pad": np.ones(3, "u1"), "array": array})
    found = load_checkpoint(tmp_path / "x")["array"]
    assert found.dtype == kind and found.shape == shape and found.flags.writeable
    assert found.tobytes() == array.tobytes() and found.flags.aligned


LOAD = """
import sys
from cydropout.training.checkpoint import load_checkpoint
assert "ml_dtypes" not in sys.modules
if len(sys.argv) > 2:
    sys.modules["ml_dtypes"] = None
print(load_checkpoint(sys.argv[1])["w"].dtype.name)
"""


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"])
def test_dtypes_of_ml_dtypes_are_imported_where_they_are_needed(tmp_path, name):
    save_checkpoint(tmp_path / "x", {"w": np.ones(3, dtype_of(name))})

    def load(*more):
        command = [sys.executable, "-c", LOAD, tmp_path / "x", *more]
        return subprocess.run(command, capture_output=True, text=True)

    assert load().stdout.strip() == name
    assert re.search(r"ImportError.*ml_dtypes.*cydropout\[bfloat16\]", load("without").stderr)


@pytest.mark.parametrize(
    "state",
    [
        {"a": {"b": A}, "a/b": B},
        {"a": [A], "a/0": B},
        {"": {"x": A}, "x": B, "/x": A},
        {"a~1b": A, "a/b": B, "a~0": {"1b": A}},
        {"__metadata__": {"x": A}},
        {"x": {"__metadata__": A}, "__metadata__": 3},
    ],
    ids=str,
)
def test_no_two_arrays_share_a_name(tmp_path, state):
    save_checkpoint(tmp_path / "x", state)
    assert same(state, load_checkpoint(tmp_path / "x"))
    load_file = pytest.importorskip("safetensors.numpy").load_file
    assert len(load_file(tmp_path / "x")) == str(state).count("array")


def deep(levels, around=lambda tree: {"d": tree}):
    tree = {}
    for _ in range(levels):
        tree = around(tree)
    return tree


def circle():
    tree = {}
    tree["again"] = [tree]
    return tree


REFUSED = {
    "strings": (np.array(["a"]), TypeError, "bad"),
    "bytes": (np.array([b"a"]), TypeError, "bad"),
    "objects": (np.array([A, None], object), TypeError, "bad"),
    "complex": (np.ones(2, complex), TypeError, "bad"),
    "longdouble": (np.ones(2, np.longdouble), TypeError, "bad"),
    "datetimes": (np.array(["2020-01-01"], "M8[D]"), TypeError, "bad"),
    "records": (np.zeros(2, [("a", "f4")]), TypeError, "bad"),
    "masked": (np.ma.array([1.0, 2.0], mask=[0, 1]), TypeError, "bad"),
    "number": (1j, TypeError, "bad"),
    "date": (np.datetime64("2020-01-01"), TypeError, "bad"),
    "bytes of Python": (b"a", TypeError, "bad"),
    "set": ({1}, TypeError, "bad"),
    "object": (object(), TypeError, "bad"),
    "inside": ([{"x": {"y": 1j}}], TypeError, "bad/0/x/y"),
    "key": ({1: A}, TypeError, "bad"),
    "marker": ({"__tensor__": "model/w"}, TypeError, "bad"),
    "surrogate": ("\ud800", ValueError, "bad"),
    "surrogate in a key": ({"\udfff": 1}, ValueError, "bad"),
    "surrogate over an array": ({"\udfff": A}, ValueError, "bad"),
    "integer": (1 << 100_000, ValueError, "bad"),
    "depth": (deep(5000), ValueError, "bad"),
    "depth of lists": (deep(201, lambda tree: [1, tree]), ValueError, "bad"),
    "cycle": (circle(), ValueError, "bad"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_saved_is_named_and_nothing_is_written(tmp_path, what):
    value, error, name = REFUSED[what]
    path = tmp_path / "state"
    for there in (False, True):
        with pytest.raises(error, match=re.escape(name)):
            save_checkpoint(path, {"good": A, "bad": value})
        assert os.listdir(tmp_path) == ["state"] * there
        save_checkpoint(path, {"n": 1})
    with pytest.raises(ValueError, match="__metadata__"):
        save_checkpoint(path, {"__metadata__": A})
    assert load_checkpoint(path) == {"n": 1}


def test_as_deep_as_is_allowed_comes_back(tmp_path):
    save_checkpoint(tmp_path / "x", deep(200))
    assert same(deep(200), load_checkpoint(tmp_path / "x"))
    with pytest.raises(ValueError, match="200 levels"):
        save_checkpoint(tmp_path / "x", deep(201))


LEAVES = [
    lambda rng: rng.choice([None, True, False, math.nan, math.inf, 5e-324, -0.0, 2**64, "", "ä"]),
    lambda rng: rng.getrandbits(80) - 2**79,
    lambda rng: rng.uniform(-1e9, 1e9),
    lambda rng: "".join(map(chr, rng.choices(range(1, 0xD000), k=rng.randrange(5)))),
    lambda rng: np.frombuffer(rng.randbytes(24), rng.choice(["u1", "i2", "f4", "f8", "i8"])),
    lambda rng: np.full([rng.randrange(3) for _ in range(rng.randrange(4))], rng.random(), "f4"),
]
KEYS = ["a", "b", "0", "1", "", "/", "~", "~0", "~1", "a/b", "__metadata__x", "ä", "\n", '"', "\\"]


def tree(rng, depth=0):
    if depth and rng.random() < 0.4:
        return rng.choice(LEAVES)(rng)
    if depth and rng.random() < 0.4:
        return [tree(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): tree(rng, depth + 1) for _ in range(rng.randrange(4))}


def test_random_trees_come_back(tmp_path):
    rng = random.Random(0)
    for _ in range(300):
        state = tree(rng)
        save_checkpoint(tmp_path / "x", state)
        assert same(state, load_checkpoint(tmp_path / "x")), state


# ---------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "state"
    rng = np.random.default_rng(0)
    save_checkpoint(path, {
        "epoch": 3, "model": {"0.dense.weight": rng.normal(size=(9, 5)), "b": np.ones(3, "f4")},
        "list": [1.5, "text", None, {"deep": np.arange(4)}],
    })
    return path.read_bytes()


def test_a_flipped_bit_anywhere_is_an_error_that_names_the_file(tmp_path, whole):
    path, rng = tmp_path / "state", random.Random(1)
    header = 8 + int.from_bytes(whole[:8], "little")
    body = rng.sample(range(header, len(whole)), 150)
    for place in [*range(header), *body, len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=re.escape(str(path))):
            load_checkpoint(path)
    path.write_bytes(whole)
    assert load_checkpoint(path)["epoch"] == 3


def test_random_damage_is_an_error_that_names_the_file(tmp_path, whole):
    path, rng = tmp_path / "state", random.Random(2)
    for _ in range(300):
        damaged = bytearray(whole)
        first, second = sorted(rng.sample(range(len(whole)), 2))
        rng.choice([
            lambda d, a, b: d.__delitem__(slice(a, b)),
            lambda d, a, b: d.__setitem__(slice(a, b), bytes(b - a)),
            lambda d, a, b: d.__setitem__(slice(a, b), rng.randbytes(b - a)),
            lambda d, a, b: d.__setitem__(slice(a, a), rng.randbytes(b - a)),
            lambda d, a, b: d.extend(d[a:b]),
        ])(damaged, first, second)
        if damaged != whole:
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=re.escape(str(path))):
                load_checkpoint(path)


@pytest.mark.parametrize(
    "header",
    [b"[" * 100_000, b"5", b"null", b"[]", b"{}", b'{"__metadata__":5}', b'{"__metadata__":null}',
     b'{"__metadata__":{"format":"cydropout-checkpoint-1","state":"{}"}}', b"\xff\xfe"],
    ids=lambda header: header[:30],
)
def test_headers_of_anything_are_an_error(tmp_path, header):
    path = tmp_path / "state"
    for size in (len(header), len(header) + 1, 2**63 - 1, 2**64 - 1):
        path.write_bytes(size.to_bytes(8, "little") + header)
        with pytest.raises(ValueError, match=re.escape(str(path))):
            load_checkpoint(path)


@pytest.mark.parametrize(
    ("tree", "shape"),
    [
        ('{"w":{"__tensor__":"w"}}', [2**40, 28]),
        ('{"w":{"__tensor__":"w"}}', [-1, -3]),
        ('{"w":{"__tensor__":["w"]}}', [3]),
        ('{"w":{"__tensor__":"v"}}', [3]),
        ('{"w":{"__tensor__":"w","more":{"__tensor__":"w"}}}', [3]),
        ('{"w":{"__tensor__":"w"}', [3]),
        ("[" * 50_000, [3]),
        ("null", [3]),
    ],
)
def test_a_file_with_the_right_checksum_is_read_with_care(tmp_path, monkeypatch, tree, shape):
    from cydropout._files import checkpoint, safetensors

    header = {"dtype": "F64", "shape": shape, "data_offsets": [0, 24]}
    dumps = safetensors.json.dumps

    def spoilt(value, **options):
        if isinstance(value, dict) and "w" in value and "dtype" in value["w"]:
            value = {**value, "w": header}
        return dumps(value, **options)

    monkeypatch.setattr(safetensors.json, "dumps", spoilt)
    metadata = {"format": checkpoint.FORMAT, "state": tree}
    path = tmp_path / "state"
    path.write_bytes(b"".join(safetensors.to_bytes({"w": A}, metadata)))
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_checkpoint(path)


# ---------------------------------------------------------------- the directory


@posix
def test_what_a_killed_process_left_is_swept_and_what_one_writes_is_not(tmp_path):
    import fcntl

    names = [".state.0123456789abcdef.tmp", ".state.89abcdef01234567.tmp"]
    other = [".state.x.0123456789abcdef.tmp", ".other.0123456789abcdef.tmp",
             ".state.notours.tmp", "state.tmp"]
    for name in [*names, *other]:
        (tmp_path / name).write_bytes(b"part")
    with open(tmp_path / names[1], "r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        save_checkpoint(tmp_path / "state", {"n": 1})
        assert sorted(os.listdir(tmp_path)) == sorted([names[1], "state", *other])
    save_checkpoint(tmp_path / "state", {"n": 2})
    assert sorted(os.listdir(tmp_path)) == sorted(["state", *other])


WRITER = """
import sys
import numpy as np
from cydropout.training.checkpoint import save_checkpoint
print("ready", flush=True)
n = 0
try:
    while True:
        n += 1
        save_checkpoint(sys.argv[1], {"n": n, "w": np.full(50_000, n, "f4"), "again": n})
except KeyboardInterrupt:
    pass
"""


def writer(path):
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    return process


def end(process, how):
    process.send_signal(how)
    process.wait()
    process.stdout.close()


@posix
def test_two_that_save_the_same_file_do_not_sweep_each_other(tmp_path):
    path = tmp_path / "state"
    save_checkpoint(path, {"n": 0, "w": np.zeros(50_000, "f4"), "again": 0})
    both = [writer(path), writer(path)]
    until = time.monotonic() + 2
    while time.monotonic() < until:
        state = load_checkpoint(path)
        assert state["n"] == state["again"] == state["w"][-1]
    assert [process.poll() for process in both] == [None, None]
    for process in both:
        end(process, signal.SIGKILL)
    save_checkpoint(path, {"n": 1})
    assert os.listdir(tmp_path) == ["state"]


@posix
def test_an_interrupted_save_leaves_a_whole_file(tmp_path):
    path, moments = tmp_path / "state", random.Random(3)
    save_checkpoint(path, {"n": 0, "w": np.zeros(50_000, "f4"), "again": 0})
    for _ in range(5):
        process = writer(path)
        time.sleep(moments.uniform(0, 0.05))
        end(process, signal.SIGINT)
        assert process.returncode == 0
        state = load_checkpoint(path)
        assert state["n"] == state["again"] == state["w"][0]
    save_checkpoint(path, state)
    assert os.listdir(tmp_path) == ["state"]


def test_a_tilde_is_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert check_target("~/x") == tmp_path / "x"
    save_checkpoint("~/x", {"n": 1})
    assert os.listdir(tmp_path) == ["x"] and load_checkpoint("~/x") == {"n": 1}
    with pytest.raises(ValueError, match="~nobody-of-this-name/x"):
        check_target("~nobody-of-this-name/x")


@posix
def test_a_link_stays_one(tmp_path):
    (tmp_path / "disk").mkdir()
    os.symlink(tmp_path / "disk" / "real", tmp_path / "link")
    for n in (1, 2):
        reserve(tmp_path / "link", 4096)
        save_checkpoint(tmp_path / "link", {"n": n})
        assert load_checkpoint(tmp_path / "disk" / "real") == {"n": n}
    assert os.readlink(tmp_path / "link") == str(tmp_path / "disk" / "real")
    assert os.listdir(tmp_path / "disk") == ["real"]


def test_a_full_disk_is_seen_before(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    reserve(tmp_path / "x", 4096)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="4,096 bytes.*x'") as caught:
        reserve(tmp_path / "x", 4096)
    assert caught.value.errno == errno.ENOSPC and os.listdir(tmp_path) == []


@posix
def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, words in [(tmp_path, "is a directory"), (tmp_path / "pipe", "device or a pipe"),
                        (tmp_path / "no" / "x", "create it")]:
        for use in (check_target, lambda path: save_checkpoint(path, {"n": 1})):
            with pytest.raises(ValueError, match=words):
                use(path)
    assert sorted(os.listdir(tmp_path)) == ["pipe"] and not (tmp_path / "pipe").is_file()
    for wrong in (3, b"x", None, "x\0y"):
        for use in (check_target, load_checkpoint, lambda path: save_checkpoint(path, {"n": 1})):
            with pytest.raises((TypeError, ValueError), match="must be a path"):
                use(wrong)
