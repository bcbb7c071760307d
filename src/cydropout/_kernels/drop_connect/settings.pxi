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
