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
    JOINT = 5          # arrays that one pass reads, or writes
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
    const mask_t *mask
    const double *scales      # one for each place along the first axis, or NULL: those of the mask

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
    const mask_t *mask
    int kind
    double a
    uint64_t columns
    const void *bias
    # Of a backward pass alone: its tiles are split into chunks that each have sums of their own.
    const void *z
    void *totals
    uint64_t tiles
    uint64_t chunks
    uint64_t chunk_bytes

# One pass over several arrays of one shape and dtype, under one mask.
ctypedef struct joint_t:
    const mask_t *mask
    uint64_t size             # bytes of an element
    const void *inputs[JOINT]
    void *outputs[JOINT]

# Rows of a table, picked by their number.
ctypedef struct gather_t:
    const int64_t *index      # one for each row outside the table; below 0: a row of zeros
    uint64_t rows             # outside the table
    uint64_t columns
    uint64_t span             # rows, or of a sum columns, in one unit of work
    const mask_t *mask        # one bit for each row of the table, stored; or NULL: all as they are

# Exactly `count` of `size` items for each row.
ctypedef struct subset_t:
    uint64_t key
    uint64_t draw
    uint64_t offset
    uint64_t size
    uint64_t count
    bint flags                # a byte for each item, and not the numbers of those taken

# One step of `size` parameters, with what the optimizer remembers of them.
ctypedef struct step_t:
    void *first
    void *second
    uint64_t size
    double learning_rate
    double beta1
    double beta2
    double epsilon
    double decay
    double correction
    bint nesterov

# Reads x, writes y, for the units of work [begin, end); `settings` is one of the structs above.
ctypedef void (*kernel_fn)(const void *x, void *y, const void *settings, uint64_t begin,
                           uint64_t end) noexcept nogil
ctypedef void (*digit_fn)(uint64_t, uint64_t, uint64_t, uint32_t, uint32_t*) noexcept nogil

# The kernels of elements of any dtype stand by dtype_t.
ctypedef struct table_t:
    digit_fn digit
    kernel_fn draw
    kernel_fn blend
    kernel_fn split
    kernel_fn gated            # float32 and float64 alone
    kernel_fn gated_back
    kernel_fn subset
    kernel_fn apply[4]
    kernel_fn rows[4]
    kernel_fn noise[4]
    kernel_fn forward[4]       # float32 and float64 alone
    kernel_fn backward[4]
    kernel_fn sgd[4]
    kernel_fn adam[4]
    kernel_fn rmsprop[4]
    kernel_fn gather[4]
    kernel_fn scatter[4]
