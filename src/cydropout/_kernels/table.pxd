"""What a build offers: plain structs of settings, and one table of pointers to its kernels."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum dtype_t:
    FLOAT16 = 0
    BFLOAT16 = 1
    FLOAT32 = 2
    FLOAT64 = 3

cdef enum:
    TILE = 2048        # elements; 16 Philox blocks
    TILE_WORDS = 64
    MAX_AXES = 64
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
    kernel_fn noise_back[4]
    kernel_fn variates
    kernel_fn forward[4]       # float32 and float64 alone
    kernel_fn backward[4]
    kernel_fn standout[4]
    kernel_fn standout_back[4]
    kernel_fn connect[4]
    kernel_fn connect_backward[4]
    kernel_fn softmax[4]
    kernel_fn softmax_slope[4]
    kernel_fn sgd[4]
    kernel_fn adam[4]
    kernel_fn rmsprop[4]
    kernel_fn blocks
    kernel_fn walks
    kernel_fn holes
    kernel_fn count
    kernel_fn gather[4]
    kernel_fn scatter[4]
    kernel_fn unfold[4]        # float32 and float64 alone, as are all that follow
    kernel_fn fold[4]
    kernel_fn max_pool[4]
    kernel_fn max_pool_back[4]
    kernel_fn mean_pool[4]
    kernel_fn mean_pool_back[4]
    kernel_fn norm_sums[4]
    kernel_fn norm[4]
    kernel_fn norm_back_sums[4]
    kernel_fn norm_back[4]
