# Rows and columns of a matrix, over checked arrays.

cdef submatrix_t submatrix_of(cnp.ndarray rows, cnp.ndarray columns, uint64_t height,
                              uint64_t width, uint64_t stride, double scale=1.0):
    cdef submatrix_t r
    r.rows = <const int64_t*>address_or_null(rows)
    r.columns = <const int64_t*>address_or_null(columns)
    r.height, r.width, r.stride, r.scale = height, width, stride, scale
    r.span = max(<uint64_t>1, 4 * TILE // max(width, <uint64_t>1))
    return r


cdef inline bint is_run(const int64_t *index, uint64_t count) noexcept nogil:
    """Whether numbers that ascend, at least one, follow each other."""
    return index == NULL or <uint64_t>(index[count - 1] - index[0]) == count - 1


def rises(object index, int64_t count):
    """Whether these are numbers as the kernels take them: rising, from 0, and below `count`."""
    cdef cnp.ndarray a
    cdef const int64_t *numbers
    if type(index) is not np.ndarray:
        return False
    a = index
    if a.dtype != np.int64 or a.ndim != 1 or not cnp.PyArray_ISCARRAY_RO(a):
        return False
    numbers = <const int64_t*>address(a)
    for i in range(cnp.PyArray_DIM(a, 0)):
        if numbers[i] <= (numbers[i - 1] if i else -1) or numbers[i] >= count:
            return False
    return True


cdef inline uint64_t row_units(const submatrix_t *r) noexcept nogil:
    """Units of work in the rows."""
    return (r.height + r.span - 1) // r.span


def gather_submatrix(cnp.ndarray x, cnp.ndarray y, cnp.ndarray rows, cnp.ndarray columns,
                     uint64_t height, uint64_t width, uint64_t stride, double scale, int code,
                     int num_threads=0):
    """y[i, j] = scale x[rows[i], columns[j]]; None takes all; float32 or float64, contiguous.

    y is (height, width), and x has rows of `stride`. The numbers ascend.
    """
    cdef submatrix_t r = submatrix_of(rows, columns, height, width, stride, scale)
    cdef const void *source = address(x)
    cdef void *target = address(y)
    if height * width:
        with nogil:
            launch(GATHER_SUBMATRIX, code, source, target, &r, height * width, row_units(&r),
                   num_threads)


def scatter_submatrix(cnp.ndarray x, cnp.ndarray y, cnp.ndarray rows, cnp.ndarray columns,
                      uint64_t height, uint64_t width, uint64_t stride, double scale, int code,
                      int num_threads=0):
    """y[rows[i], columns[j]] += scale x[i, j], with x of (height, width)."""
    cdef submatrix_t r = submatrix_of(rows, columns, height, width, stride, scale)
    cdef const void *source = address(x)
    cdef void *target = address(y)
    if height * width:
        with nogil:
            launch(SCATTER_SUBMATRIX, code, source, target, &r, height * width, row_units(&r),
                   num_threads)
