# One build: the kernels for one instruction set, and the table that names them.

from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport sqrt, sqrtf
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from cydropout._kernels.simd cimport *
from cydropout._kernels.table cimport *

include "dropout/draw.pxi"
include "dropout/kernel.pxi"
include "dropout/stream.pxi"
include "dropout/rows.pxi"
include "sums/kernel.pxi"
include "noise/kernel.pxi"
include "bias_activation_dropout/kernel.pxi"
include "standout/kernel.pxi"
include "drop_connect/kernel.pxi"
include "softmax/kernel.pxi"
include "cross_entropy/kernel.pxi"
include "layer_norm/kernel.pxi"
include "optimizer/kernel.pxi"
include "max_norm/kernel.pxi"
include "submatrix/kernel.pxi"
include "optimizer/rows.pxi"
include "regions/kernel.pxi"
include "drop_block/kernel.pxi"
include "drop_walk/kernel.pxi"
include "cutout/kernel.pxi"
include "zoneout/kernel.pxi"
include "recurrent_dropout/kernel.pxi"
include "recurrence/kernel.pxi"
include "gather/kernel.pxi"
include "subset/kernel.pxi"
include "conv/kernel.pxi"
include "pool/kernel.pxi"
include "batch_norm/kernel.pxi"

cdef table_t table


cdef void enter(kernel_fn *row, kernel_fn half, kernel_fn brain, kernel_fn single,
                kernel_fn wide):
    row[<int>FLOAT16] = half
    row[<int>BFLOAT16] = brain
    row[<int>FLOAT32] = single
    row[<int>FLOAT64] = wide


table.digit = digit
table.draw = <kernel_fn>draw_range
table.blocks = <kernel_fn>blocks_range
table.walks = <kernel_fn>walks_range
table.holes = <kernel_fn>holes_range
table.count = <kernel_fn>count_range
table.blend = <kernel_fn>blend_range
table.split = <kernel_fn>split_range
table.gated = <kernel_fn>gated_range
table.gated_back = <kernel_fn>gated_back_range
table.subset = <kernel_fn>subset_rows
enter(table.apply, <kernel_fn>apply_range[f16], <kernel_fn>apply_range[bf16],
      <kernel_fn>apply_range[float], <kernel_fn>apply_range[double])
enter(table.rows, <kernel_fn>apply_rows[f16], <kernel_fn>apply_rows[bf16],
      <kernel_fn>apply_rows[float], <kernel_fn>apply_rows[double])
enter(table.noise, <kernel_fn>noise_range[f16], <kernel_fn>noise_range[bf16],
      <kernel_fn>noise_range[float], <kernel_fn>noise_range[double])
enter(table.noise_back, <kernel_fn>noise_back_range[f16], <kernel_fn>noise_back_range[bf16],
      <kernel_fn>noise_back_range[float], <kernel_fn>noise_back_range[double])
table.variates = <kernel_fn>variates_range
enter(table.forward, NULL, NULL, <kernel_fn>forward_range[float],
      <kernel_fn>forward_range[double])
enter(table.backward, NULL, NULL, <kernel_fn>backward_range[float],
      <kernel_fn>backward_range[double])
enter(table.standout, NULL, NULL, <kernel_fn>standout_range[float],
      <kernel_fn>standout_range[double])
enter(table.standout_back, NULL, NULL, <kernel_fn>standout_back_range[float],
      <kernel_fn>standout_back_range[double])
enter(table.connect, NULL, NULL, <kernel_fn>connect_range[float],
      <kernel_fn>connect_range[double])
enter(table.connect_backward, NULL, NULL, <kernel_fn>connect_back_range[float],
      <kernel_fn>connect_back_range[double])
enter(table.softmax, NULL, NULL, <kernel_fn>softmax_rows[float], <kernel_fn>softmax_rows[double])
enter(table.softmax_slope, NULL, NULL, <kernel_fn>softmax_slope_rows[float],
      <kernel_fn>softmax_slope_rows[double])
enter(table.cross_entropy, NULL, NULL, <kernel_fn>cross_entropy_rows[float],
      <kernel_fn>cross_entropy_rows[double])
enter(table.squared, NULL, NULL, <kernel_fn>squared_range[float],
      <kernel_fn>squared_range[double])
enter(table.columns, NULL, NULL, <kernel_fn>columns_range[float],
      <kernel_fn>columns_range[double])
enter(table.step, NULL, NULL, <kernel_fn>step_range[float], <kernel_fn>step_range[double])
enter(table.step_rows, NULL, NULL, <kernel_fn>step_rows[float], <kernel_fn>step_rows[double])
enter(table.layer_norm, NULL, NULL, <kernel_fn>layer_norm_rows[float],
      <kernel_fn>layer_norm_rows[double])
enter(table.layer_norm_back, NULL, NULL, <kernel_fn>layer_norm_chunks[float],
      <kernel_fn>layer_norm_chunks[double])
enter(table.cell, NULL, NULL, <kernel_fn>cell_rows[float], <kernel_fn>cell_rows[double])
enter(table.cell_back, NULL, NULL, <kernel_fn>cell_back_rows[float],
      <kernel_fn>cell_back_rows[double])
enter(table.gather, <kernel_fn>gather_rows[f16], <kernel_fn>gather_rows[bf16],
      <kernel_fn>gather_rows[float], <kernel_fn>gather_rows[double])
enter(table.scatter, NULL, NULL, <kernel_fn>scatter_columns[float],
      <kernel_fn>scatter_columns[double])
enter(table.gather_submatrix, NULL, NULL, <kernel_fn>gather_submatrix[float],
      <kernel_fn>gather_submatrix[double])
enter(table.scatter_submatrix, NULL, NULL, <kernel_fn>scatter_submatrix[float],
      <kernel_fn>scatter_submatrix[double])
enter(table.unfold, NULL, NULL, <kernel_fn>unfold_rows[float], <kernel_fn>unfold_rows[double])
enter(table.fold, NULL, NULL, <kernel_fn>fold_rows[float], <kernel_fn>fold_rows[double])
enter(table.max_pool, NULL, NULL, <kernel_fn>max_rows[float], <kernel_fn>max_rows[double])
enter(table.max_pool_back, NULL, NULL, <kernel_fn>max_back_maps[float],
      <kernel_fn>max_back_maps[double])
enter(table.mean_pool, NULL, NULL, <kernel_fn>mean_rows[float], <kernel_fn>mean_rows[double])
enter(table.mean_pool_back, NULL, NULL, <kernel_fn>mean_back_maps[float],
      <kernel_fn>mean_back_maps[double])
enter(table.norm_sums, NULL, NULL, <kernel_fn>norm_sums[float], <kernel_fn>norm_sums[double])
enter(table.norm, NULL, NULL, <kernel_fn>norm_rows[float], <kernel_fn>norm_rows[double])
enter(table.norm_back_sums, NULL, NULL, <kernel_fn>norm_back_sums[float],
      <kernel_fn>norm_back_sums[double])
enter(table.norm_back, NULL, NULL, <kernel_fn>norm_back_rows[float],
      <kernel_fn>norm_back_rows[double])


def kernels():
    """The table of this build, as a capsule."""
    return PyCapsule_New(&table, "cydropout._kernels.table_t", NULL)
