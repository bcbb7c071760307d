"""What a build offers: one table of pointers to its kernels, and what several of these share."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum dtype_t:
    FLOAT16 = 0
    BFLOAT16 = 1
    FLOAT32 = 2
    FLOAT64 = 3

# The rows of the table of kernels.
cdef enum row_t:
    DRAW_BITS
    COUNT_BITS
    DROPOUT
    DROPOUT_ROWS
    BIAS_ACTIVATION_DROPOUT
    BIAS_ACTIVATION_DROPOUT_BACKWARD
    VARIATES
    NOISE
    NOISE_BACKWARD
    STANDOUT
    STANDOUT_BACKWARD
    DROP_CONNECT
    DROP_CONNECT_BACKWARD
    DROP_BLOCK
    DROP_WALK
    CUTOUT
    SUBSET
    ZONEOUT
    ZONEOUT_BACKWARD
    GATED_UPDATE
    GATED_UPDATE_BACKWARD
    RECURRENCE
    RECURRENCE_BACKWARD
    SOFTMAX
    SOFTMAX_BACKWARD
    CROSS_ENTROPY
    SQUARED_ERROR
    LAYER_NORM
    LAYER_NORM_BACKWARD
    MOMENTS
    NORMALISE
    NORMALISE_POOL
    NORMALISE_BACKWARD_SUMS
    NORMALISE_BACKWARD
    GATHER
    SCATTER_ADD
    GATHER_SUBMATRIX
    SCATTER_SUBMATRIX
    UNFOLD
    FOLD
    CONVOLVE
    CONVOLVE_WEIGHT
    MAX_POOL
    MAX_POOL_BACKWARD
    MEAN_POOL
    MEAN_POOL_BACKWARD
    OPTIMIZER_STEP
    OPTIMIZER_STEP_ROWS
    MAX_NORM_STEP
    SCALE_COLUMNS
    ROWS

cdef enum:
    DTYPES = 4
    ANY_DTYPE = 0      # where a kernel has no dtype
    TILE = 2048        # elements; 16 Philox blocks
    TILE_WORDS = 64
    MAX_AXES = 64
    TOGETHER = 8       # rows of a product that share what is read of a panel: see product/panels.h
    SPAN = 16384       # entries of a matrix, which stay in a cache while samples pass
    SPAN_WORDS = 640   # of its bits, and of the rest of the tiles at both ends
    MAX_WALKERS = 64
    SHORT = 256        # elements; such rows are not worth a loop each
    MAX_WINDOW = 256   # elements that a maximum is taken of
    JOINT = 5          # arrays that one pass reads, or writes

cdef enum source_t:
    DRAW = 0           # draw the bits, keep none
    DRAW_AND_STORE = 1
    STORED = 2

# Reads x, writes y, for the units of work [begin, end); `settings` is the struct of the
# kernel's folder, or one of those below, which several kernels share.
ctypedef void (*kernel_fn)(const void *x, void *y, const void *settings, uint64_t begin,
                           uint64_t end) noexcept nogil

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

# Sums over columns on the way: tiles are split into chunks that each have totals of their own.
ctypedef struct sums_t:
    void *totals              # of each chunk, the columns and a tile
    uint64_t columns
    uint64_t tiles
    uint64_t chunks
    uint64_t chunk_bytes

# One pass over rows of `columns` elements; bias has a period and a tile of them.
ctypedef struct fused_t:
    const mask_t *mask
    int kind
    double a
    uint64_t columns
    const void *bias
    # Of a backward pass alone.
    const void *z
    sums_t sums

# One pass over several arrays of one shape and dtype, under one mask.
ctypedef struct joint_t:
    const mask_t *mask
    uint64_t size             # bytes of an element
    const void *inputs[JOINT]
    void *outputs[JOINT]

# A loss over rows of `columns` predictions; the kernels leave a value and the hits of each row.
ctypedef struct loss_t:
    int row                   # of the table
    uint64_t rows
    uint64_t columns
    double count              # of what the mean is taken over
    const void *targets       # labels of int64, or numbers like the predictions
    void *gradient
    double *values
    double *hits

# Some rows and some columns of a matrix, both by their numbers, ascending.
ctypedef struct submatrix_t:
    const int64_t *rows       # or NULL: all
    const int64_t *columns    # or NULL: all
    uint64_t height           # rows of the submatrix
    uint64_t width            # columns of the submatrix
    uint64_t stride           # columns of the matrix
    uint64_t span             # rows in one unit of work
    double scale

# Keep-bits of maps one after another; `unit` maps, a unit of work, are a whole number of words.
ctypedef struct maps_t:
    uint64_t count
    uint64_t bits             # of one map
    uint64_t unit

ctypedef void (*digit_fn)(uint64_t, uint64_t, uint64_t, uint32_t, uint32_t*) noexcept nogil

# One kernel for each row and dtype_t, or NULL where the row does not have that dtype.
ctypedef struct table_t:
    digit_fn digit
    kernel_fn kernels[ROWS][DTYPES]
