"""The checked functions above the kernels, and the one place where threads are started."""

from enum import IntEnum

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport rint
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from cydropout._kernels.table cimport *

cdef extern from "simd/platform.h":
    int cyd_cpu_level()

cdef extern from "team.h":
    ctypedef struct cyd_memory_t:
        uint64_t late, credit, skipped, teams, awake, woken, in_vain
    ctypedef struct cyd_team_t:
        cyd_memory_t memory
        int workers, deaf
        uint64_t tick
    cyd_team_t cyd_team
    void cyd_run_team(kernel_fn kernel, const void *x, void *y, const void *settings,
                      uint64_t elements, uint64_t units, int members) noexcept nogil
    int cyd_have(int members)
    int cyd_asleep(int workers) noexcept nogil
    int cyd_run_hosted(kernel_fn kernel, const void *x, void *y, const void *settings,
                       uint64_t elements, uint64_t units) noexcept nogil
    ctypedef int (*cyd_parallel_for_fn)(
        int64_t begin, int64_t end, int64_t grain,
        void (*work)(int64_t begin, int64_t end, void *job) noexcept nogil, void *job
    ) noexcept nogil
    ctypedef int (*cyd_host_threads_fn)(uint32_t *count) noexcept nogil
    cyd_parallel_for_fn cyd_host_parallel_for
    cyd_host_threads_fn cyd_host_threads
    void cyd_run_together(kernel_fn kernel, const void *settings, int members) noexcept nogil

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewLikeArray(cnp.ndarray like, cnp.NPY_ORDER order, void *dtype, int subok)

cnp.import_array()

TILE_SIZE = TILE
#: The rows of the table of kernels that Python code names.
Kernel = IntEnum("Kernel", {
    "ZONEOUT": ZONEOUT, "ZONEOUT_BACKWARD": ZONEOUT_BACKWARD,
    "GATED_UPDATE": GATED_UPDATE, "GATED_UPDATE_BACKWARD": GATED_UPDATE_BACKWARD,
    "UNFOLD": UNFOLD, "FOLD": FOLD,
    "MAX_POOL": MAX_POOL, "MAX_POOL_BACKWARD": MAX_POOL_BACKWARD,
    "MEAN_POOL": MEAN_POOL, "MEAN_POOL_BACKWARD": MEAN_POOL_BACKWARD,
    "MOMENTS": MOMENTS, "NORMALISE": NORMALISE, "NORMALISE_POOL": NORMALISE_POOL,
    "NORMALISE_BACKWARD_SUMS": NORMALISE_BACKWARD_SUMS, "NORMALISE_BACKWARD": NORMALISE_BACKWARD,
})
WALKERS = MAX_WALKERS
WINDOW = MAX_WINDOW
CPU_LEVEL = cyd_cpu_level()

cdef table_t *table = NULL
cdef int default_threads = 1

include "launch.pxi"
include "blas.pxi"
include "c_api.pxi"
include "sums/launch.pxi"
include "penalty/launch.pxi"
include "dropout/launch.pxi"
include "dense_stack/launch.pxi"
include "noise/launch.pxi"
include "standout/launch.pxi"
include "drop_connect/launch.pxi"
include "regions/launch.pxi"
include "drop_block/launch.pxi"
include "drop_walk/launch.pxi"
include "cutout/launch.pxi"
include "softmax/launch.pxi"
include "losses/launch.pxi"
include "layer_norm/launch.pxi"
include "gather/launch.pxi"
include "subset/launch.pxi"
include "submatrix/launch.pxi"
include "optimizer/launch.pxi"
include "dense_stack/step.pxi"
include "max_norm/launch.pxi"
include "recurrence/launch.pxi"
include "conv/launch.pxi"
include "convolve/launch.pxi"
include "batch_norm/launch.pxi"


def use(capsule):
    """Make the build of this table the one that runs."""
    global table
    table = <table_t*>PyCapsule_GetPointer(capsule, "cydropout._kernels.table_t")


def set_stream_from(uint64_t nbytes):
    """Store results of this many bytes or more past the caches; return what it was."""
    global STREAM_FROM
    before = STREAM_FROM
    STREAM_FROM = nbytes
    return before


def set_default_threads(int num_threads):
    """Set how many threads run where a call does not say."""
    global default_threads
    default_threads = num_threads


def launcher():
    """What the launcher of teams counted and remembers."""
    cdef int workers = cyd_team.workers
    return dict(cyd_team.memory, workers=workers, asleep=cyd_asleep(workers))


def rehearse(uint64_t tick, bint deaf):
    """For tests: let every look at the launcher's clock take `tick` ns (0: the real one), and let
    its workers be deaf to the bell."""
    cyd_team.tick, cyd_team.deaf = tick, deaf


def set_host(size_t parallel_for, size_t host_threads):
    """Name the functions of a host library that run calls with fewer than 0 threads; 0 for none."""
    global cyd_host_parallel_for, cyd_host_threads
    cyd_host_threads = <cyd_host_threads_fn>host_threads
    cyd_host_parallel_for = <cyd_parallel_for_fn>parallel_for  # last: it says that there are both


def dropout_at(uint64_t key, uint64_t draw, double rate, size_t x, size_t y, uint64_t size,
               int code, int num_threads=0):
    """y = x * 2**32 / q where kept, else 0, for `size` elements at these addresses."""
    with nogil:
        apply_dropout(key, draw, 0, rate, <const void*>x, size, <dtype_t>code, <void*>y,
                      num_threads)


def philox_digit(uint64_t key, uint64_t draw, uint64_t tile, uint32_t j):
    """Return digit `j` of the elements of a tile: the outputs of 16 Philox blocks, in order."""
    cdef cnp.ndarray words = np.empty(TILE_WORDS, np.uint32)
    table.digit(key, draw, tile, j, <uint32_t*>cnp.PyArray_DATA(words))
    return words
