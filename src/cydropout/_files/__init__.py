"""Files: trees of arrays and numbers, checked when read, replaced whole or not at all."""
