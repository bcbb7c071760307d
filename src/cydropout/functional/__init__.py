"""Arrays in, arrays out: dropout in one call, and the fused passes that the layers use."""

from cydropout._kernels.threads import get_num_threads, set_num_threads

from .attention import AttentionMask, softmax_dropout, softmax_dropout_backward
from .batch_norm import moments, normalise, normalise_backward
from .config import show_config
from .drop_connect import dropconnect, dropconnect_backward
from .dropout import dropout
from .fused import ACTIVATIONS, bias_activation_dropout, bias_activation_dropout_backward
from .gather import gather, scatter_add
from .recurrent import gated_update, gated_update_backward, zoneout, zoneout_backward
from .standout import standout, standout_backward
from .steps import adam_step, rmsprop_step, sgd_step
from .windows import (
    Windows,
    fold,
    max_pool,
    max_pool_backward,
    mean_pool,
    mean_pool_backward,
    unfold,
)

__all__ = [
    "ACTIVATIONS",
    "AttentionMask",
    "Windows",
    "adam_step",
    "bias_activation_dropout",
    "bias_activation_dropout_backward",
    "dropconnect",
    "dropconnect_backward",
    "dropout",
    "fold",
    "gated_update",
    "gated_update_backward",
    "gather",
    "get_num_threads",
    "max_pool",
    "max_pool_backward",
    "mean_pool",
    "mean_pool_backward",
    "moments",
    "normalise",
    "normalise_backward",
    "rmsprop_step",
    "scatter_add",
    "set_num_threads",
    "sgd_step",
    "show_config",
    "softmax_dropout",
    "softmax_dropout_backward",
    "standout",
    "standout_backward",
    "unfold",
    "zoneout",
    "zoneout_backward",
]
