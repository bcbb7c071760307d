"""Arrays in, arrays out: dropout in one call, and the fused passes that the layers use."""

from cydropout._kernels.threads import get_num_threads, set_num_threads

from .attention import AttentionMask, softmax_dropout, softmax_dropout_backward
from .cells import Recurrence, recurrence, recurrence_backward
from .config import show_config
from .drop_connect import dropconnect, dropconnect_backward
from .dropout import dropout
from .fused import ACTIVATIONS, bias_activation_dropout, bias_activation_dropout_backward
from .gather import gather, scatter_add
from .recurrent import gated_update, gated_update_backward, zoneout, zoneout_backward
from .standout import standout, standout_backward
from .steps import adam_step, rmsprop_step, sgd_step

__all__ = [
    "ACTIVATIONS",
    "AttentionMask",
    "Recurrence",
    "adam_step",
    "bias_activation_dropout",
    "bias_activation_dropout_backward",
    "dropconnect",
    "dropconnect_backward",
    "dropout",
    "gated_update",
    "gated_update_backward",
    "gather",
    "get_num_threads",
    "recurrence",
    "recurrence_backward",
    "rmsprop_step",
    "scatter_add",
    "set_num_threads",
    "sgd_step",
    "show_config",
    "softmax_dropout",
    "softmax_dropout_backward",
    "standout",
    "standout_backward",
    "zoneout",
    "zoneout_backward",
]
