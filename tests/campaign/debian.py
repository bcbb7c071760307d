"""Build and test in Debian of another processor: 64-bit Arm, and IBM Z, which is big-endian.

``python tests/campaign/debian.py --long`` makes a root of each with mmdebstrap and runs it by the
user mode of QEMU. On Arm it builds the kernels and runs tests, with ``-- tests/test_masks.py``
those alone. On s390x the import must say that it is refused. It must be root, and needs Debian's
packages mmdebstrap, arch-test and qemu-user-static. ``CYDROPOUT_ROOTS`` is a directory that keeps
the roots, where only other sources are built again; ``DEBIAN_SUITE`` another suite than trixie,
``DEBIAN_MIRROR`` where it is, and ``MMDEBSTRAP_OPTIONS`` more words for mmdebstrap, such as
``--aptopt='Acquire::Check-Valid-Until "false"'`` for a port whose Release file has expired. The
short form says what is there, and makes nothing.
"""

import hashlib
import os
import shlex
import shutil
import sys
from pathlib import Path

import common
from building import sources, tool
from common import Job, Skip, run

campaign = common.Campaign(__file__, __doc__)
PACKAGES = "gcc,libc6-dev,python3-dev"
#: What a build and the tests need besides; the pip of this machine is faster than an emulated one.
OTHERS = ["numpy>=2", "cython>=3.1", "setuptools>=77", "pytest>=8", "matplotlib", "ml_dtypes",
          "scikit-learn", "threadpoolctl", "tqdm"]
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


def made(job: Job, debian: str, packages: str) -> Path:
    """Make a root, or take the one that was kept, and put the sources there."""
    root = Path(os.environ.get("CYDROPOUT_ROOTS") or job.folder) / f"debian-{debian}"
    if not (root / "made").exists():
        shutil.rmtree(root, ignore_errors=True)
        run(["mmdebstrap", "--mode=root", "--variant=minbase", f"--architectures={debian}",
             f"--include={packages}", *shlex.split(os.environ.get("MMDEBSTRAP_OPTIONS", "")),
             os.environ.get("DEBIAN_SUITE", "trixie"), root,
             os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")])
        (root / "made").touch()
    shutil.rmtree(root / "checkout", ignore_errors=True)
    shutil.copytree(sources(job.folder), root / "checkout")
    return root


def built(root: Path) -> None:
    """Build in a root, if that was not done from the same sources; what can be, outside of QEMU."""
    checkout, venv = root / "checkout", root / "venv"
    files = [checkout / "setup.py", *sorted(checkout.glob("src/**/*.*"))]
    made_from = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    if (venv / "built").exists() and (venv / "built").read_text() == made_from:
        return
    inside(root, "rm -rf /venv && python3 -m venv --without-pip /venv")
    site, = venv.glob("lib/python3*/site-packages")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", f"--target={site}",
           *(f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 27, 28)),
           "--platform=linux_aarch64", f"--python-version={site.parent.name[6:]}"]
    run([*pip, "--only-binary=:all:", *OTHERS])
    run([sys.executable, "setup.py", "--version"], cwd=checkout,  # Cython writes its C
        env={"CYDROPOUT_BUILDS": "baseline"})
    inside(root, "cd /checkout && /venv/bin/python -c "
                 "'from setuptools.build_meta import build_wheel as build; build(\"dist\")'")
    run([*pip, "--no-deps", *checkout.glob("dist/*.whl")])
    (venv / "built").write_text(made_from)


@campaign.check
def arm64(job: Job) -> str:
    """64-bit Arm."""
    emulator("aarch64", register=job.long)
    if not job.long:
        return "mmdebstrap and QEMU are there"
    root = made(job, "arm64", PACKAGES)
    built(root)
    files = job.arguments or [f"tests/test_{name}.py" for name in FILES]
    out = inside(
        root, "cd /checkout && "
              "/venv/bin/python -c 'import cydropout; cydropout.show_config()' && "
              f"/venv/bin/python -m pytest -q -p no:cacheprovider {shlex.join(files)}")
    return out.strip().splitlines()[-1].strip("= ")


@campaign.check
def s390x(job: Job) -> str:
    """A machine whose bytes lie the other way: refused before a kernel is loaded."""
    emulator("s390x", register=job.long)
    if not job.long:
        return "mmdebstrap and QEMU are there"
    root = made(job, "s390x", "python3-numpy")
    installed = root / "checkout/src/cydropout-0.dist-info"  # without the kernels
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: cydropout\nVersion: 0\n")
    code = "import sys; sys.path.insert(0, '/checkout/src'); import cydropout"
    out = inside(root, f"uname -m; python3 -c \"{code}\" 2>&1 || true")
    machine, *_, last = out.strip().splitlines()
    assert machine == "s390x" and last.startswith("ImportError: cydropout needs a little"), out
    return last


if __name__ == "__main__":
    sys.exit(campaign.main())
