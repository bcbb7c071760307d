"""Checkpoints: a tree of arrays and numbers in one file, replaced whole or not at all."""

from cydropout._files.checkpoint import check_state, load_checkpoint, save_checkpoint

__all__ = ["check_state", "load_checkpoint", "save_checkpoint"]
