"""Arrays in, arrays out: dropout in one call, and the fused passes that the layers use."""

from cydropout._kernels.threads import get_num_threads, set_num_threads

from .attention import AttentionMask, softmax_dropout, softmax_dropout_backward
from .config import show_config
from .dropout import dropout
from .fused import ACTIVATIONS, bias_activation_dropout, bias_activation_dropout_backward
from .steps import adam_step, rmsprop_step, sgd_step

__all__ = [
    "ACTIVATIONS",
    "AttentionMask",
    "adam_step",
    "bias_activation_dropout",
    "bias_activation_dropout_backward",
    "dropout",
    "get_num_threads",
    "rmsprop_step",
    "set_num_threads",
    "sgd_step",
    "show_config",
    "softmax_dropout",
    "softmax_dropout_backward",
]
