"""``python -m cydropout`` is the command ``cydropout``."""

import sys

from .cli import main

sys.exit(main())
