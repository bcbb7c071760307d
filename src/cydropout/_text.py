"""Text for the terminal, whatever it can show."""

import sys
from typing import TextIO


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
