"""Threads, forks, and what show_config says."""

import os
import subprocess
import sys

import numpy as np
import pytest

import cydropout
from cydropout import _machine
from cydropout._kernels import api, dispatch, threads


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, timeout=120,
        capture_output=True, text=True,
    )


def test_a_big_endian_processor_is_refused_before_a_kernel_is_loaded():
    done = python("import sys, numpy\nsys.byteorder = 'big'\ntry:\n    import cydropout\n"
                  "finally:\n    print([n for n in sys.modules if n.endswith('_kernels.api')])")
    assert done.returncode == 1 and done.stdout == "[]\n"
    assert done.stderr.splitlines()[-1].startswith(
        "ImportError: cydropout needs a little-endian processor, and this one is big-endian")


@pytest.fixture
def restored():
    yield
    cydropout.set_num_threads(None)


def test_set_num_threads(restored):
    cydropout.set_num_threads(3)
    assert cydropout.get_num_threads() == 3
    cydropout.set_num_threads(None)
    if not os.environ.get("OMP_NUM_THREADS") and hasattr(os, "sched_getaffinity"):
        assert cydropout.get_num_threads() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    "bad, error", [(0, ValueError), (-2, ValueError), (1025, ValueError), (1.5, TypeError)]
)
def test_a_bad_number_is_named(bad, error, restored):
    before = cydropout.get_num_threads()
    with pytest.raises(error, match=str(bad)):
        cydropout.set_num_threads(bad)
    assert cydropout.get_num_threads() == before
    with pytest.raises(error, match=str(bad)):
        cydropout.dropout(np.ones(3), 0.5, num_threads=bad)


OMP = {
    "5": 5, " 5 ": 5, "05": 5, "5,2": 5, "1024": 1024, "1": 1,
    **dict.fromkeys(
        ["", " ", ",", ",5", "0", "-1", "+5", "many", "5 2", "0x5", "5.0", "1_0", "\u00b2",
         "\u0665", "1025", "99999999999", "99999999999999999999", "9" * 5000],
    ),
}


@pytest.mark.parametrize("text", OMP, ids=lambda text: repr(text)[:24])
def test_omp_num_threads_counts_if_it_is_a_number_of_threads(text, restored, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    cydropout.set_num_threads(None)
    expected = (OMP[text], "OMP_NUM_THREADS") if OMP[text] else _machine.available_cores()
    assert (cydropout.get_num_threads(), threads.source()) == expected


@pytest.mark.parametrize("text", ["5", "9" * 5000])
def test_omp_num_threads_is_read_at_import(text):
    code = "import cydropout as c; print(c.get_num_threads(), c.show_config('dicts'))"
    done = python(code, OMP_NUM_THREADS=text)
    count = OMP[text] or cydropout.functional.available_cores()
    assert done.stdout.startswith(f"{count} "), done.stderr


@pytest.mark.parametrize(
    "files, expected",
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": b"\xff\xfe 100000"}, None),
        ({"cpu.max": "200000\n"}, None),
        ({"cpu.max": "200000 0\n"}, None),
        ({"cpu.max": None}, None),
        ({"groups": "0::/a/b\n", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ({"groups": "0::/a/b\n", "a/cpu.max": "300000 100000", "a/b/cpu.max": "1 100000"}, 1),
        ({"groups": "0::/a\n", "cpu.max": "200000 100000", "a/cpu.max": "500000 100000"}, 2),
        ({"groups": "0::/a\n", "b/cpu.max": "100000 100000"}, None),
        ({"groups": "0::/../a\n", "a/cpu.max": "100000 100000"}, 1),
        ({"groups": "0::/not/there\n", "cpu.max": "100000 100000"}, 1),
        ({"groups": "3:cpuset:/b\n1:cpu,cpuacct:/a\n", "cpu/a/cpu.cfs_quota_us": "400000",
          "cpu/a/cpu.cfs_period_us": "100000", "cpu/b/cpu.cfs_quota_us": "100000",
          "cpu/b/cpu.cfs_period_us": "100000"}, 4),
        ({"groups": b"\xff", "cpu.max": "200000 100000\n"}, 2),
    ],
)
def test_cgroup_limit(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        if text is None:  # a folder cannot be read
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert _machine.cgroup_limit(tmp_path, tmp_path / "groups") == expected


@pytest.mark.parametrize("quota", [None, 1])
def test_all_who_count_cores_count_the_same(quota, monkeypatch):
    if quota is not None:
        monkeypatch.setattr(_machine, "cgroup_limit", lambda: quota)
    count, _ = threads.available_cores()
    assert count == cydropout.functional.available_cores() == _machine.describe()["cores"]
    assert quota is None or count == quota


@pytest.mark.parametrize("variable", ["OMP_PROC_BIND=true", "OMP_PLACES=cores"])
def test_threads_bound_to_cores_are_as_many_as_ever(variable):
    code = "import cydropout as c; print(c.get_num_threads())"
    name, value = variable.split("=")
    assert python(code, **{name: value}).stdout == python(code).stdout


def test_show_config(capsys):
    assert cydropout.show_config() is None
    text = capsys.readouterr().out
    config = cydropout.show_config("dicts")
    assert config["build"] == dispatch.build and config["build"] in config["builds available"]
    assert config["threads"] == cydropout.get_num_threads()
    for key, value in config.items():
        assert key in text
        assert isinstance(value, list) or str(value) in text
    with pytest.raises(ValueError, match="yaml"):
        cydropout.show_config("yaml")


@pytest.mark.parametrize("name", dispatch.available())
def test_the_environment_forces_a_build(name):
    code = "import cydropout; print(cydropout.show_config('dicts')['build'])"
    assert python(code, CYDROPOUT_ISA=name).stdout.strip() == name
    assert python(code, CYDROPOUT_ISA=name.replace("_", "-").upper()).stdout.strip() == name


def test_an_unknown_build_is_named():
    done = python("import cydropout", CYDROPOUT_ISA="sse9")
    assert done.returncode == 1
    assert "'sse9'" in done.stderr and "baseline" in done.stderr.splitlines()[-1]


def test_a_build_this_cpu_cannot_run_is_refused(monkeypatch):
    monkeypatch.setattr(api, "CPU_LEVEL", 0)
    before = dispatch.build
    with pytest.raises(ImportError, match="x86_64_v4.*cannot run"):
        dispatch.choose("x86_64_v4")
    assert dispatch.build == before
    assert dispatch.available() == ["baseline"]
