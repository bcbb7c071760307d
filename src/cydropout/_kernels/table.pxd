"""What a build offers: plain structs of settings, and one table of pointers to its kernels."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

cdef enum dtype_t:
    FLOAT16 = 0
    BFLOAT16 = 1
    FLOAT32 = 2
    FLOAT64 = 3

cdef enum:
    TILE = 2048        # elements; 16 Philox blocks
    TILE_WORDS = 64
    MAX_AXES = 64
    SHORT = 256        # elements; such rows that share a bit are not worth a loop each

cdef enum source_t:
    DRAW = 0           # draw the bits, keep none
    DRAW_AND_STORE = 1
    STORED = 2

# The map y = scale * keep * x, and where its keep-bits come from.
ctypedef struct mask_t:
    uint64_t key
    uint64_t draw
    uint64_t offset
    uint64_t size
    uint64_t q                # shared by all elements, unless `own`
    int digits                # of q, that are not trailing zeros
    const uint32_t *own       # 33 rows of bits of a period and a tile: digits, and q == 2**32
    uint64_t own_stride       # words in a row
    uint64_t period           # of `own` and of the scales; 0 when all elements share them
    uint32_t *bits
    source_t source
    bint stream               # store y past the caches
    const float *scale32      # a period and a tile, or 32 times the same
    const double *scale64
    bint affine               # y = scale * x + shift where kept, else `dropped`
    double shift
    double dropped

# How rows of an array lie over the mask of fewer axes that they share.
ctypedef struct rows_t:
    int axes                  # of the outer loop
    uint64_t sizes[MAX_AXES]
    uint64_t strides[MAX_AXES]   # in mask elements
    uint64_t length           # elements in a row
    uint64_t size             # elements in all
    uint64_t span             # elements in one unit of work
    bint shared               # a whole row shares one bit

# The map y = (1 + sigma n) x with n standard normal: word i % 4 of Philox block i // 4.
ctypedef struct noise_t:
    uint64_t key
    uint64_t draw
    uint64_t offset
    uint64_t size
    uint64_t period           # of sigma; 0 when all elements share it
    const float *sigma        # a period and 64 more, or 64 times the same

# One pass over rows of `columns` elements; bias has a period and a tile of them.
ctypedef struct fused_t:
    int kind
    double a
    uint64_t columns
    const void *bias

ctypedef struct step_t:
    double learning_rate
    double beta1
    double beta2
    double epsilon
    double decay
    double correction
    bint nesterov

ctypedef void (*draw_fn)(const mask_t*, uint64_t, uint64_t) noexcept nogil
ctypedef void (*apply_fn)(const void*, void*, const mask_t*, uint64_t, uint64_t) noexcept nogil
ctypedef void (*rows_fn)(const void*, void*, const mask_t*, const rows_t*, uint64_t,
                         uint64_t) noexcept nogil
ctypedef void (*noise_fn)(const void*, void*, const noise_t*, uint64_t, uint64_t) noexcept nogil
ctypedef void (*forward_fn)(const void*, void*, const mask_t*, const fused_t*, uint64_t,
                            uint64_t) noexcept nogil
ctypedef void (*backward_fn)(const void*, const void*, void*, void*, const mask_t*,
                             const fused_t*, uint64_t, uint64_t) noexcept nogil
ctypedef void (*step_fn)(void*, const void*, void*, void*, const step_t*, int64_t,
                         int64_t) noexcept nogil
ctypedef void (*digit_fn)(uint64_t, uint64_t, uint64_t, uint32_t, uint32_t*) noexcept nogil

ctypedef struct table_t:
    digit_fn digit
    draw_fn draw
    apply_fn apply[4]          # by dtype_t
    rows_fn rows[4]
    noise_fn noise[4]
    forward_fn forward[4]      # float32 and float64 alone
    backward_fn backward[4]
    step_fn sgd[4]
    step_fn adam[4]
    step_fn rmsprop[4]
