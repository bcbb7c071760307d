"""What the command ``cydropout`` starts: Ctrl-C may come before the package is imported."""

import contextlib
import os
import signal
import sys
from typing import Any, NoReturn


def _end(*_: Any) -> NoReturn:
    """End in one line; an exception would get lost in the compiled modules, or be shown whole."""
    with contextlib.suppress(OSError):
        os.write(2, b"cydropout: error: interrupted\n")
    os._exit(130)


def main() -> int:
    """Import the package, and run the command."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # and not one that ignores it
        signal.signal(signal.SIGINT, _end)
    from cydropout import cli

    signal.signal(signal.SIGINT, before)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
