"""How contenders are timed, and how it is told."""
