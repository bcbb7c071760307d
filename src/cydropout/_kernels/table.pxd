"""What a build offers: plain structs of settings, and one table of pointers to its kernels."""

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
    LAYER_NORM
    LAYER_NORM_BACKWARD
    MOMENTS
    NORMALISE
    NORMALISE_BACKWARD_SUMS
    NORMALISE_BACKWARD
    GATHER
    SCATTER_ADD
    GATHER_SUBMATRIX
    SCATTER_SUBMATRIX
    UNFOLD
    FOLD
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
    SPAN = 16384       # entries of a matrix, which stay in a cache while samples pass
    SPAN_WORDS = 640   # of its bits, and of the rest of the tiles at both ends
    MAX_WALKERS = 64
    SHORT = 256        # elements; such rows are not worth a loop each
    MAX_WINDOW = 256   # elements that a maximum is taken of
    JOINT = 5          # arrays that one pass reads, or writes

cdef enum steps_t:
    SGD = 0
    ADAM = 1
    RMSPROP = 2

cdef enum source_t:
    DRAW = 0           # draw the bits, keep none
    DRAW_AND_STORE = 1
    STORED = 2

# Reads x, writes y, for the units of work [begin, end); `settings` is one of the structs below.
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

# The map y = f x, with f a function of one variate for each element and of theta.
ctypedef struct noise_t:
    uint64_t key
    uint64_t draw
    uint64_t offset
    uint64_t size
    bint logistic             # or else normal
    double sharpness          # 1 / temperature
    uint64_t period           # of theta; 0 when all elements share it
    uint64_t stride           # from one row of theta to the next
    const float *theta32      # rows of a period and a tile, or of 32 times the same
    const double *theta64
    void *held                # the parts of noise.h, up to a multiple of 32 elements
    source_t source
    # Of a backward pass alone.
    const void *x
    sums_t sums

# y = act(z) where kept, with the probability sigmoid(a r + b), else 0.
ctypedef struct standout_t:
    uint64_t key
    uint64_t draw
    uint64_t size
    int kind
    double a
    double b
    const void *r
    uint32_t *bits
    bint drawn                # the bits are drawn, not given
    bint mean                 # no bits: y = sigmoid(a r + b) act(z)
    # Of a backward pass alone.
    const void *z
    void *dr                  # NULL where r is z

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

# Products of `rows` samples with a matrix whose entries each sample keeps or drops for itself.
ctypedef struct connect_t:
    const mask_t *mask        # of shape (rows, inputs, units)
    uint64_t rows
    uint64_t inputs
    uint64_t units
    uint64_t stride           # of the rows of w, y and dy: units, and padding
    uint64_t block            # rows of the matrix that all samples pass before the next ones
    const void *x
    const void *weight
    void *dx                  # or NULL: not wanted

# Softmax over rows of `keys` elements, with dropout of the result.
ctypedef struct softmax_t:
    uint64_t queries          # rows after which the count of a causal row begins again
    uint64_t keys
    bint causal               # row i sees keys 0 to i alone
    double scale              # of the scores
    double factor             # of what is kept
    const uint32_t *keep      # one bit for each element, or NULL: all are kept
    const uint32_t *allow     # rows of `words` words, one bit for each key, or NULL
    const uint64_t *which     # of the rows of `allow` each row takes
    uint64_t words
    void *statistics          # two for each row
    const void *scores        # of a backward pass alone

# Rows of logits, each with a label that is one of its `classes`.
ctypedef struct cross_entropy_t:
    uint64_t classes
    const int64_t *labels
    double factor             # of the gradient
    double *below             # of each row, as are the next two
    double *inverse
    uint8_t *right

# Rows of `columns` elements, brought to mean 0 and variance 1; chunks of them sum for themselves.
ctypedef struct layer_norm_t:
    uint64_t rows
    uint64_t columns
    uint64_t stride           # elements of weight, bias and each of their sums
    double epsilon
    const void *weight
    const void *bias
    void *statistics          # two for each row
    # Of a backward pass alone.
    const void *x
    void *totals              # of each chunk, the sums for weight and for bias
    uint64_t chunks

# One pass over several arrays of one shape and dtype, under one mask.
ctypedef struct joint_t:
    const mask_t *mask
    uint64_t size             # bytes of an element
    const void *inputs[JOINT]
    void *outputs[JOINT]

# Keep-bits of rows of states, or without them the share of a mean.
ctypedef struct keep_t:
    const uint32_t *words
    uint64_t row              # bits from one row to the next
    uint64_t step
    double scale

# One step of a recurrent cell; sequences are (rows, steps, ...), states (rows, ...).
ctypedef struct cell_t:
    int cell
    uint64_t size             # bytes of an element
    uint64_t units
    uint64_t gates
    uint64_t steps
    uint64_t step
    keep_t hidden             # of what enters the product
    keep_t update
    keep_t zone_h
    keep_t zone_c
    void *z
    void *inner               # of a GRU: what the reset gate is multiplied by
    void *h
    void *c
    void *next                # state that enters the next product
    const void *product
    const void *bias
    const void *inner_bias
    const void *h0
    const void *c0
    const int64_t *lengths    # steps of each row that count; or NULL: all
    # Of a backward pass alone.
    bint each                 # dy is that of each step, not of the last
    const void *dy
    const void *back
    void *dz
    void *ds                  # of a GRU: for the product, where dz is for the inputs
    void *flow                # the same of this step alone
    void *dh
    void *dc
    void *before              # states that entered the products

# Rows of a table, picked by their number.
ctypedef struct gather_t:
    const int64_t *index      # one for each row outside the table; below 0: a row of zeros
    uint64_t rows             # outside the table
    uint64_t columns
    uint64_t span             # rows, or of a sum columns, in one unit of work
    const mask_t *mask        # one bit for each row of the table, stored; or NULL: all as they are

# Some rows and some columns of a matrix, both by their numbers, ascending.
ctypedef struct submatrix_t:
    const int64_t *rows       # or NULL: all
    const int64_t *columns    # or NULL: all
    uint64_t height           # rows of the submatrix
    uint64_t width            # columns of the submatrix
    uint64_t stride           # columns of the matrix
    uint64_t span             # rows in one unit of work
    double scale

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
    int kind                  # one of steps_t
    # Where only a submatrix of a matrix has a gradient.
    const submatrix_t *submatrix
    bint lazy                 # leave all else as it is
    # Of a step that adds up squares on the way.
    kernel_fn kernel          # the step itself, or NULL: it is done
    sums_t sums

# Columns of `size` elements in rows, each times a factor of its own.
ctypedef struct columns_t:
    const void *factors       # of a row and a tile
    uint64_t columns
    uint64_t size

# Keep-bits of maps one after another; `unit` maps, a unit of work, are a whole number of words.
ctypedef struct maps_t:
    uint64_t count
    uint64_t bits             # of one map
    uint64_t unit

# Blocks over three axes, whose seeds lie where a block fits into its map.
ctypedef struct blocks_t:
    maps_t maps
    uint64_t seeds[2]         # rows of seeds along the first two axes
    uint64_t row              # bits in a row of seeds
    uint64_t strides[3]       # of the axes, in bits
    uint64_t lengths[3]       # of a block

# Random walks over the maps of a torus; `inner` of them lie interleaved in one of `maps`.
ctypedef struct walks_t:
    maps_t maps
    uint64_t key
    uint64_t draw
    uint64_t height
    uint64_t width
    uint64_t inner
    uint64_t target           # 2**32 times the mean number of cells to visit
    uint64_t walkers

# Rectangles around random centres, cut off at the border.
ctypedef struct holes_t:
    maps_t maps
    uint64_t key
    uint64_t draw
    uint64_t height
    uint64_t width
    uint64_t rows             # of a hole
    uint64_t columns
    uint64_t holes            # in a map

# Windows that slide over maps whose channels come last.
ctypedef struct windows_t:
    uint64_t height           # of a map
    uint64_t width
    uint64_t channels
    uint64_t rows             # of windows
    uint64_t columns
    uint64_t size[2]
    uint64_t stride[2]
    uint64_t before[2]        # rows and columns of zeros before the map
    uint64_t first            # of the channels that are taken
    uint64_t taken
    uint8_t *at               # which element of its window was the largest

# Columns that are normalised; the arrays but x have one element for each column.
ctypedef struct norm_t:
    uint64_t rows
    uint64_t columns
    uint64_t span             # rows in one unit of work
    const void *x             # of a backward pass alone
    const void *center
    const void *scale
    const void *shift
    const void *mean
    const void *tilt
    double *totals            # two rows for each unit of work
    bint relu

ctypedef void (*digit_fn)(uint64_t, uint64_t, uint64_t, uint32_t, uint32_t*) noexcept nogil

# One kernel for each row and dtype_t, or NULL where the row does not have that dtype.
ctypedef struct table_t:
    digit_fn digit
    kernel_fn kernels[ROWS][DTYPES]
