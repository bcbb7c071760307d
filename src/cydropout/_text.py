"""Text for the terminal, whatever it can show."""

import contextlib
import sys
from typing import Any, TextIO


def fitting(text: str, file: TextIO | None) -> str:
    r"""Return the text with escapes for what the file's encoding has not.

    Examples
    --------
    >>> import io
    >>> fitting("caf\u00e9", io.TextIOWrapper(io.BytesIO(), "ascii"))
    'caf\\xe9'
    """
    encoding = getattr(file, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def show(text: str, file: TextIO | None = None) -> None:
    """Print the text as `fitting` has it, by default to the standard output.

    Examples
    --------
    >>> show("at rate 0.5")
    at rate 0.5
    """
    print(fitting(text, file or sys.stdout), file=file)


class Screen:
    """A stream that takes any text as `fitting` has it, and drops what it cannot take at all.

    So neither a full disk nor a terminal that is gone ends what only reports how far it is.

    Examples
    --------
    >>> import io
    >>> stream = io.StringIO()
    >>> Screen(stream).write("half")
    >>> stream.close()
    >>> Screen(stream).write("of it")
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write the text if it can be done."""
        with contextlib.suppress(OSError, ValueError):  # the latter from a closed stream
            self._stream.write(fitting(text, self._stream))

    def flush(self) -> None:
        """Bring out what was written if it can be done."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
