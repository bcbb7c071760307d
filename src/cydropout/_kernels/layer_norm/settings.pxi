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
