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
    windows_t pool            # side by side over the maps that the rows are; without `at`, none
