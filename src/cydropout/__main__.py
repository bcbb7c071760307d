"""``python -m cydropout`` is the command ``cydropout``."""

import sys

from cydropout.cli import main

sys.exit(main())
