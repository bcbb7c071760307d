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
