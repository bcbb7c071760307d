"""Build and test in Debian of another processor: 64-bit Arm, and IBM Z, which is big-endian.

``python tests/campaign/debian.py --long`` makes a root of each with mmdebstrap, runs it by the user
mode of QEMU, builds the kernels there and runs the tests; ``-- tests/test_masks.py`` runs those
alone. It must be root, and needs Debian's packages mmdebstrap, arch-test and qemu-user-static.
``CYDROPOUT_ROOTS`` is a directory that keeps the roots. The short form says what is there, and
makes nothing.
"""

import os
import shutil
import sys
from pathlib import Path

import common
from building import sources, tool
from common import Job, Skip, run

campaign = common.Campaign(__file__, __doc__)
PACKAGES = ("ca-certificates,gcc,libc6-dev,python3-dev,python3-numpy,python3-pytest,python3-pip,"
            "python3-venv")
BINFMT = Path("/proc/sys/fs/binfmt_misc")
#: What runs in some minutes: masks, kernels against NumPy, layers, training, files.
FILES = ["random", "masks", "dropout", "kernels", "gaussian", "noise", "functional", "regions",
         "batchwise", "layers", "training", "checkpoints", "files", "refused_draws"]


def emulator(machine: str, *, register: bool) -> None:
    """Have the kernel run programs of another machine."""
    for name in ("mmdebstrap", "arch-test", f"qemu-{machine}-static"):
        tool(name)
    if not hasattr(os, "geteuid") or os.geteuid():
        raise Skip("only root may make a Debian root and have the kernel run its programs")
    if not register:
        return
    if not (BINFMT / "register").exists():
        run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT])
    if not (BINFMT / f"qemu-{machine}").exists():
        line = Path(f"/usr/lib/binfmt.d/qemu-{machine}.conf").read_text().strip()
        (BINFMT / "register").write_text(line)


def inside(root: Path, command: str, **environment: str) -> str:
    """Run a command in a root, whose mounts end with it."""
    mounts = (f"mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && "
              f"mount -t tmpfs tmpfs {root}/tmp && exec chroot {root} /bin/bash -c \"$0\"")
    return run(["unshare", "--mount", "sh", "-c", mounts, f"set -e; {command}"], timeout=6 * 3600,
               env={"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment})


def tested(job: Job, debian: str, machine: str, check: str = "") -> str:
    """Make a root, build, and test."""
    emulator(machine, register=job.long)
    if not job.long:
        return "mmdebstrap and QEMU are there"
    kept = os.environ.get("CYDROPOUT_ROOTS")
    root = Path(kept or job.folder) / f"debian-{debian}"
    if not (root / "made").exists():
        shutil.rmtree(root, ignore_errors=True)
        run(["mmdebstrap", "--variant=minbase", f"--architectures={debian}",
             f"--include={PACKAGES}", "trixie", root, "http://deb.debian.org/debian"])
        for path in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
            shutil.copy(Path("/") / path, root / path)
        inside(root, "python3 -m venv --system-site-packages /venv && "
                     "/venv/bin/pip install -q 'cython>=3.1' 'setuptools>=77' threadpoolctl")
        (root / "made").touch()
    shutil.rmtree(root / "checkout", ignore_errors=True)
    shutil.copytree(sources(job.folder), root / "checkout")
    files = job.arguments or [f"tests/test_{name}.py" for name in FILES]
    out = inside(
        root, "cd /checkout && /venv/bin/pip install -q --no-deps --no-build-isolation . && "
              "/venv/bin/python -c 'import cydropout; cydropout.show_config()' && "
              f"/venv/bin/python -m pytest -q -p no:cacheprovider {' '.join(files)}")
    return out.strip().splitlines()[-1].strip("= ")


@campaign.check
def arm64(job: Job) -> str:
    """64-bit Arm."""
    return tested(job, "arm64", "aarch64")


@campaign.check
def s390x(job: Job) -> str:
    """A machine whose bytes lie the other way."""
    return tested(job, "s390x", "s390x")


if __name__ == "__main__":
    sys.exit(campaign.main())
