"""The bits of masks in arrangements, and the batteries of other people that read them.

``python tests/campaign/batteries.py one_draw | RNG_test stdin32`` writes one of them without end.
"""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
from common import Job, Skip, run

from cydropout import Mask
from cydropout.masks import GaussianMask

KEY = 0x9E3779B97F4A7C15


def one_draw() -> Iterator[bytes]:
    """One mask, from its first element on."""
    for part in count():
        yield Mask(KEY, 0, (2**23,), 0.5, offset=part * 2**23).bits.tobytes()


def small_draws() -> Iterator[bytes]:
    """Masks of 1024 elements, draw by draw."""
    for draw in count():
        yield Mask(KEY, draw, (1024,), 0.5).bits.tobytes()


def seeds() -> Iterator[bytes]:
    """Masks of 1024 elements of keys that follow each other."""
    for key in count():
        yield Mask(key, 0, (1024,), 0.5).bits.tobytes()


def rates() -> Iterator[bytes]:
    """The first eight digits of each element's number, found by halving with nested rates."""
    for part in count():
        number = np.zeros(2**18)
        for digit in range(1, 9):
            middle = number + 0.5**digit
            keep = Mask(KEY, 1, (2**18,), 1 - middle, offset=part * 2**18).keep
            number = np.where(keep, number, middle)
        yield (number * 256).astype("u1").tobytes()


def normals() -> Iterator[bytes]:
    """The words behind Gaussian noise, of which its values have some 20 bits: the upper 16."""
    from scipy.special import ndtr

    ones = np.ones(2**18)
    for draw in count():
        x = GaussianMask(KEY, draw, ones.shape, sigma=1.0, storage="seed").apply(ones) - 1
        yield np.floor(ndtr(x) * 2**16).astype("u2").tobytes()


ARRANGEMENTS: dict[str, Callable[[], Iterator[bytes]]] = {
    one.__name__: one for one in (one_draw, small_draws, seeds, rates, normals)}

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <testu01/unif01.h>
#include <testu01/bbattery.h>
#include <testu01/swrite.h>
static unsigned int word(void) {
    static unsigned int buffer[65536];
    static size_t at = 0, end = 0;
    if (at == end) { end = fread(buffer, 4, 65536, stdin); at = 0; if (!end) exit(3); }
    return buffer[at++];
}
int main(int argc, char **argv) {
    unif01_Gen *gen = unif01_CreateExternGenBits("bits", word);
    swrite_Basic = FALSE;
    if (!strcmp(argv[1], "SmallCrush")) bbattery_SmallCrush(gen);
    else if (!strcmp(argv[1], "Crush")) bbattery_Crush(gen);
    else if (!strcmp(argv[1], "BigCrush")) bbattery_BigCrush(gen);
    else return 2;
    return argc != 2;
}
"""
PACKAGES = ["libtestu01-0", "libtestu01-0-dev", "libtestu01-0-dev-common"]


def fetched(folder: Path) -> Path:
    """Fetch TestU01's packages, which are in non-free, and build the program that runs it."""
    apt, keys = folder / "apt", "/usr/share/keyrings/debian-archive-keyring.gpg"
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    system = Path("/etc/os-release").read_text().splitlines()
    suite = dict(line.partition("=")[::2] for line in system).get("VERSION_CODENAME", "stable")
    (apt / "list").write_text(
        f"deb [signed-by={keys}] http://deb.debian.org/debian {suite} main non-free\n")
    options = [f"-oDir::Etc::sourcelist={apt}/list", "-oDir::Etc::sourceparts=-",
               f"-oDir::State::lists={apt}/lists", f"-oDir::Cache={apt}/cache",
               "-oAPT::Sandbox::User=root"]
    try:
        run(["apt-get", *options, "update"])
        run(["apt-get", *options, "download", *PACKAGES], cwd=folder)
    except (AssertionError, OSError) as error:
        raise Skip(f"TestU01 cannot be had here: {str(error)[-300:]}") from None
    for package in folder.glob("*.deb"):
        run(["dpkg", "-x", package, folder / "root"])
    (folder / "main.c").write_text(PROGRAM)
    libraries, = folder.glob("root/usr/lib/*-linux-gnu")
    own = folder / "root/usr/include"
    run(["gcc", "-O2", f"-I{own}", f"-I{own / libraries.name}", folder / "main.c", "-o",
         folder / "battery", *(libraries / f"libtestu01{part}.a" for part in
                               ("", "probdist", "mylib")), "-lm"])
    return folder / "battery"


def fed(name: str, command: list[str]) -> str:
    """Return what a program says that reads an arrangement."""
    with subprocess.Popen([sys.executable, __file__, name], stdout=subprocess.PIPE) as source:
        done = subprocess.run(
            command, stdin=source.stdout, capture_output=True, text=True, check=False)
        source.kill()
    assert done.returncode == 0, f"{command} ended by {done.returncode}: {done.stderr[-1000:]}"
    return done.stdout


def testu01(job: Job) -> str:
    """Run a battery of TestU01 on each arrangement."""
    if not job.long:
        raise Skip("the long form runs it")
    program = fetched(job.folder)
    battery = next(iter(job.arguments), "SmallCrush")
    for name in ARRANGEMENTS:
        out = fed(name, [str(program), battery])
        assert "All tests were passed" in out, f"{battery} of {name}:\n{out[-3000:]}"
    return f"{battery} on {', '.join(ARRANGEMENTS)}: all tests were passed"


def practrand(job: Job) -> str:
    """Run PractRand on each arrangement, where it is installed."""
    program = shutil.which("RNG_test")
    if not program:
        raise Skip("no RNG_test on the path; the sources of PractRand are at sourceforge.net")
    if not job.long:
        raise Skip("the long form runs it")
    size = next(iter(job.arguments), "4GB")
    for name in ARRANGEMENTS:
        out = fed(name, [program, "stdin32", "-tlmax", size, "-multithreaded"])
        assert "FAIL" not in out and "no anomalies" in out, f"{name}:\n{out[-3000:]}"
    return f"{size} of {', '.join(ARRANGEMENTS)}: no failure"


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        for block in ARRANGEMENTS[sys.argv[1]]():
            sys.stdout.buffer.write(block)
