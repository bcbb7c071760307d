"""The bits of masks in arrangements, and the batteries of other people that read them.

``python tests/campaign/batteries.py one_draw 0 | RNG_test stdin32`` writes one of them without end,
of a seed. What stands behind ``--`` of a campaign is a battery or a size, and then arrangements.
"""

import contextlib
import re
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


def one_draw(key: int) -> Iterator[bytes]:
    """One mask, from its first element on."""
    for part in count():
        yield Mask(key, 0, (2**23,), 0.5, offset=part * 2**23).bits.tobytes()


def small_draws(key: int) -> Iterator[bytes]:
    """Masks of 1024 elements, draw by draw."""
    for draw in count():
        yield Mask(key, draw, (1024,), 0.5).bits.tobytes()


def across_draws(key: int) -> Iterator[bytes]:
    """The same 32 elements of 4096 draws, then the next 32."""
    for part in count():
        draws = [Mask(key, part * 4096 + draw, (1024,), 0.5).bits for draw in range(4096)]
        yield np.transpose(draws).tobytes()


def seeds(key: int) -> Iterator[bytes]:
    """Masks of 1024 elements of keys that follow each other."""
    for more in count():
        yield Mask((key + more) % 2**64, 0, (1024,), 0.5).bits.tobytes()


def rates(key: int) -> Iterator[bytes]:
    """The first eight digits of each element's number: how many of 255 nested rates drop it."""
    for part in count():
        digits = np.full(2**16, 255, "u1")
        for keep in range(1, 256):
            digits -= Mask(key, 1, (2**16,), 1 - keep / 256, offset=part * 2**16).keep
        yield digits.tobytes()


def normals(key: int) -> Iterator[bytes]:
    """The words behind Gaussian noise, of which its values have some 20 bits: the upper 16."""
    from scipy.special import ndtr

    ones = np.ones(2**18)
    for draw in count():
        x = GaussianMask(key, draw, ones.shape, sigma=1.0, storage="seed").apply(ones) - 1
        yield np.floor(ndtr(x) * 2**16).astype("u2").tobytes()


ARRANGEMENTS: dict[str, Callable[[int], Iterator[bytes]]] = {
    one.__name__: one for one in (one_draw, small_draws, across_draws, seeds, rates, normals)}

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
static const struct {
    const char *name;
    void (*all)(unif01_Gen *);
    void (*some)(unif01_Gen *, int *);
} batteries[] = {{"SmallCrush", bbattery_SmallCrush, bbattery_RepeatSmallCrush},
                 {"Crush", bbattery_Crush, bbattery_RepeatCrush},
                 {"BigCrush", bbattery_BigCrush, bbattery_RepeatBigCrush}};
int main(int argc, char **argv) {
    unif01_Gen *gen = unif01_CreateExternGenBits("bits", word);
    int again[256] = {0};
    swrite_Basic = FALSE;
    for (int i = 2; i < argc; i++) again[atoi(argv[i]) % 256] = 1;
    for (int i = 0; i < 3; i++) {
        if (strcmp(argv[1], batteries[i].name)) continue;
        if (argc > 2) batteries[i].some(gen, again);
        else batteries[i].all(gen);
        return 0;
    }
    return 2;
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


def fed(name: str, seed: int, command: list[str]) -> str:
    """Return what a program says that reads an arrangement."""
    source_command = [sys.executable, __file__, name, str(seed)]
    with subprocess.Popen(source_command, stdout=subprocess.PIPE) as source:
        done = subprocess.run(
            command, stdin=source.stdout, capture_output=True, text=True, check=False)
        source.kill()
    assert done.returncode == 0, f"{command} ended by {done.returncode}: {done.stderr[-1000:]}"
    return done.stdout


def chosen(job: Job, usual: str) -> tuple[str, list[str]]:
    """Return a battery or a size, and the arrangements that it reads."""
    if not job.long:
        raise Skip("the long form runs it")
    what, *names = job.arguments or [usual]
    if unknown := {*names} - {*ARRANGEMENTS}:
        raise ValueError(f"{unknown} must be some of {', '.join(ARRANGEMENTS)}")
    return what, names or [*ARRANGEMENTS]


def suspects(out: str) -> dict[str, tuple[str, float]]:
    """Return of each test that TestU01 names its words, and how far its p-value is from 0 or 1."""
    assert "Summary results" in out, out[-3000:]
    found = re.findall(r"^ *(\d+)  +(\S.*?)  +((?:1 - +)?)(eps1?|[\d.e-]+) *$", out, re.MULTILINE)
    assert found or "All tests were passed" in out, out[-3000:]
    return {number: (f"{name}, p = {side.replace(' ', '')}{p}",
                     0.0 if p.startswith("eps") else min(float(p), 1 - float(p)))
            for number, name, side, p in found}


def testu01(job: Job) -> str:
    """Run a battery of TestU01 on each arrangement.

    Of p-values some lie outside [.001, .999] by chance: such a test is run again on two other
    seeds, and must pass both. Below 1e-10 it is a failure, as its authors say.
    """
    battery, names = chosen(job, "SmallCrush")
    program, odd = str(fetched(job.folder)), []
    for name in names:
        out = fed(name, job.seed, [program, battery])
        found = suspects(out)
        clear = [text for text, p in found.values() if p < 1e-10]
        again = [suspects(fed(name, job.seed + more, [program, battery, *found]))
                 for more in ((1, 2) if found else ())]
        assert not clear and not any(again), f"{battery} of {name}: {found}, {again}"
        odd += [f"{name}: {number} {text}, and within [.001, .999] at two other seeds"
                for number, (text, _) in found.items()]
    passed = "; but of " + "; ".join(odd) if odd else ""
    return f"{battery} on {', '.join(names)}: all tests were passed{passed}"


def practrand(job: Job) -> str:
    """Run PractRand on each arrangement, where it is installed."""
    program = shutil.which("RNG_test")
    if not program:
        raise Skip("no RNG_test on the path; the sources of PractRand are at sourceforge.net")
    size, names = chosen(job, "4GB")
    said = []
    for name in names:
        out = fed(name, job.seed, [program, "stdin32", "-tlmax", size, "-multithreaded"])
        reached = re.findall(r"length= .*\((.*) bytes\)", out)
        wrong = re.search("FAIL|(?i:very suspicious)", out)
        assert reached and not wrong, f"{name}:\n{out[-3000:]}"
        odd = re.findall(r"(\S+) +R= *\S+ +p = *(\S+) +(unusual|(?:mildly )?suspicious)", out)
        said.append(f"{name} {', '.join(map(' '.join, odd)) or 'no anomaly'}")
    return f"{reached[-1]} bytes of each: {'; '.join(said)}"


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        for block in ARRANGEMENTS[sys.argv[1]]((KEY + int(sys.argv[2])) % 2**64):
            sys.stdout.buffer.write(block)
