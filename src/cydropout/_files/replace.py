"""Replace a file whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from cydropout._validate import ArgumentTypeError, shown

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def expanded(path: str | os.PathLike[str], what: str = "path") -> Path:
    """Return a path with the home directory in the place of ``~``."""
    try:
        if "\0" in os.fspath(path):
            raise ValueError(f"{what} must be a path, which has no zero byte, not {path!r}")
        return Path(path).expanduser()
    except TypeError:
        raise ArgumentTypeError(f"{what} must be a path, not {shown(path)}") from None
    except RuntimeError as error:
        raise ValueError(f"{str(path)!r}: {error}") from None


def check_source(path: str | os.PathLike[str], kind: str) -> Path:
    """Return ``path``, with ``~`` expanded, and check that it is a file, and no endless pipe."""
    source = expanded(path)
    if not source.is_file():
        other = ", which is a directory, a device or a pipe" if source.exists() else ""
        raise FileNotFoundError(f"no {kind} at {str(source)!r}{other}")
    return source


def check_target(path: str | os.PathLike[str], what: str = "checkpoint") -> Path:
    """Return ``path``, with ``~`` expanded, after checking that a file can be written there."""
    target = expanded(path, what)
    real = Path(os.path.realpath(target))  # where a link leads: it is that which is written
    if real.is_symlink():
        raise ValueError(f"{what} must be a file, but {str(target)!r} is a link to itself")
    if target.is_dir():
        raise ValueError(f"{what} must be a file, but {str(target)!r} is a directory")
    if target.exists() and not target.is_file():
        raise ValueError(f"{what} must be a file, but {str(target)!r} is a device or a pipe")
    if not real.parent.is_dir():
        raise ValueError(
            f"the directory {str(real.parent)!r} of the {what} does not exist; create it"
        )
    if not os.access(real.parent, os.W_OK):
        raise ValueError(f"the directory {str(real.parent)!r} of the {what} is not writable")
    return target


def reserve(target: Path, nbytes: int) -> None:
    """Raise an `OSError` if the disk has no room for a file of so many bytes beside ``target``."""
    if not hasattr(os, "posix_fallocate"):
        return
    with _temporary(target.resolve()) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, nbytes)
        except OSError as error:
            if error.errno in _NO_ROOM:
                text = f"{os.strerror(error.errno)}: a checkpoint needs {nbytes:,} bytes beside"
                raise OSError(error.errno, text, str(target)) from None


def replace(
    path: str | os.PathLike[str], parts: Iterable[bytes], what: str = "checkpoint"
) -> None:
    """Write a file so that a crash at any moment leaves the old one there or the new one.

    What a killed process left of this file's temporary ones is deleted; those that a process
    still writes are locked by it, and stay. A link stays one; a device or a directory, which a
    rename would put a file in the place of, is refused.
    """
    target = check_target(path, what).resolve()
    _sweep(target)
    with _temporary(target) as file:
        try:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            error.filename = str(target)
            raise
        if os.name != "posix":
            file.close()  # where an open file cannot be renamed
        os.replace(file.name, target)
    _sync_directory(target.parent)


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[IO[bytes]]:
    """Open a new file in the same directory, locked; delete it in the end if it is still there."""
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        try:
            with open(path, "xb") as file:
                if _is_kept(file, path):
                    yield file
                    return
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def _is_kept(file: IO[bytes], path: Path) -> bool:
    """Lock a new file; another process may have taken it for a dead one's before that."""
    try:
        _lock(file)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks, where nothing is swept
    return path.exists()


def _sweep(target: Path) -> None:
    ours = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{16}}\.tmp")
    with contextlib.suppress(OSError):  # a directory that cannot be listed
        for path in target.parent.iterdir():
            if ours.fullmatch(path.name):
                # Any error, that of a lock which another holds too, leaves the file there.
                with contextlib.suppress(OSError), open(path, "r+b") as file:
                    _lock(file)
                    path.unlink()


def _lock(file: IO[bytes]) -> None:
    """Lock a file until it is closed, also by the death of the process; raise if another has it."""
    if sys.platform != "win32":  # there nobody deletes a file that is open
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_directory(directory: Path) -> None:
    """Make the rename itself survive a power cut, where the system can."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
