"""Arrays in, arrays out: dropout in one call, and the fused passes that the layers use."""

from cydropout._kernels.blas import shared_threads
from cydropout._kernels.threads import get_num_threads, set_num_threads
from cydropout.functional.batch_norm import moments, normalise, normalise_backward
from cydropout.functional.bias_activation_dropout import (
    ACTIVATIONS,
    bias_activation_dropout,
    bias_activation_dropout_backward,
)
from cydropout.functional.config import available_cores, show_config
from cydropout.functional.conv import Windows, fold, unfold
from cydropout.functional.drop_connect import dropconnect, dropconnect_backward
from cydropout.functional.dropout import dropout
from cydropout.functional.gather import gather, scatter_add
from cydropout.functional.layer_norm import layer_norm, layer_norm_backward
from cydropout.functional.losses import mean_squared_error, softmax_cross_entropy
from cydropout.functional.memory import reused_memory
from cydropout.functional.optimizer import (
    Gradient,
    StepGroup,
    adam_rule,
    adam_step,
    optimizer_step,
    rmsprop_step,
    sgd_step,
)
from cydropout.functional.penalty import l2_penalty
from cydropout.functional.pool import (
    max_pool,
    max_pool_backward,
    mean_pool,
    mean_pool_backward,
)
from cydropout.functional.recurrence import Recurrence, recurrence, recurrence_backward
from cydropout.functional.recurrent_dropout import gated_update, gated_update_backward
from cydropout.functional.softmax import AttentionMask, softmax_dropout, softmax_dropout_backward
from cydropout.functional.standout import standout, standout_backward
from cydropout.functional.submatrix import Submatrix, gather_submatrix, scatter_submatrix
from cydropout.functional.zoneout import zoneout, zoneout_backward

__all__ = [
    "ACTIVATIONS",
    "AttentionMask",
    "Gradient",
    "Recurrence",
    "StepGroup",
    "Submatrix",
    "Windows",
    "adam_rule",
    "adam_step",
    "available_cores",
    "bias_activation_dropout",
    "bias_activation_dropout_backward",
    "dropconnect",
    "dropconnect_backward",
    "dropout",
    "fold",
    "gated_update",
    "gated_update_backward",
    "gather",
    "gather_submatrix",
    "get_num_threads",
    "l2_penalty",
    "layer_norm",
    "layer_norm_backward",
    "max_pool",
    "max_pool_backward",
    "mean_pool",
    "mean_pool_backward",
    "mean_squared_error",
    "moments",
    "normalise",
    "normalise_backward",
    "optimizer_step",
    "recurrence",
    "recurrence_backward",
    "reused_memory",
    "rmsprop_step",
    "scatter_add",
    "scatter_submatrix",
    "set_num_threads",
    "sgd_step",
    "shared_threads",
    "show_config",
    "softmax_cross_entropy",
    "softmax_dropout",
    "softmax_dropout_backward",
    "standout",
    "standout_backward",
    "unfold",
    "zoneout",
    "zoneout_backward",
]
