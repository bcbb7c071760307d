# Some rows and columns of a matrix: picked, and put back.

cdef enum:
    SIDE_BY_SIDE = 16  # columns of a run on average, from which on they are taken as runs

cdef inline uint64_t run_from(const int64_t *index, uint64_t at, uint64_t count) noexcept nogil:
    """How many numbers from place `at` on follow each other."""
    cdef uint64_t last = at + 1
    if index == NULL:
        return count - at
    while last < count and index[last] == index[last - 1] + 1:
        last += 1
    return last - at


cdef inline uint64_t number_at(const int64_t *index, uint64_t at) noexcept nogil:
    return at if index == NULL else <uint64_t>index[at]


cdef inline bint are_long(uint64_t runs, uint64_t count) noexcept nogil:
    """Whether runs of so many columns in all are long enough to be taken as such."""
    return runs * SIDE_BY_SIDE <= count or runs == 1


cdef inline bint in_few_runs(const submatrix_t *r) noexcept nogil:
    """Whether the columns are runs long enough to be copied as such."""
    cdef uint64_t at = 0, runs = 0
    while at < r.width and runs * SIDE_BY_SIDE <= r.width:
        at += run_from(r.columns, at, r.width)
        runs += 1
    return are_long(runs, r.width)


cdef void gather_submatrix(const real *x, real *y, const submatrix_t *r, uint64_t begin,
                           uint64_t end) noexcept nogil:
    """y[i, j] = scale x[rows[i], columns[j]]."""
    cdef uint64_t i, j, k, run
    cdef real scale = <real>r.scale
    cdef const real *source
    cdef real *target
    cdef bint runs = in_few_runs(r)
    for i in range(begin * r.span, min(end * r.span, r.height)):
        source = x + number_at(r.rows, i) * r.stride
        target = y + i * r.width
        if not runs:
            for j in range(r.width):
                target[j] = scale * source[r.columns[j]]
            continue
        j = 0
        while j < r.width:
            run = run_from(r.columns, j, r.width)
            for k in range(run):
                target[j + k] = scale * source[number_at(r.columns, j) + k]
            j += run


cdef void scatter_submatrix(const real *x, real *y, const submatrix_t *r, uint64_t begin,
                            uint64_t end) noexcept nogil:
    """y[rows[i], columns[j]] += scale x[i, j]."""
    cdef uint64_t i, j, at
    cdef real scale = <real>r.scale
    cdef const real *source
    cdef real *target
    for i in range(begin * r.span, min(end * r.span, r.height)):
        source = x + i * r.width
        target = y + number_at(r.rows, i) * r.stride
        if r.columns == NULL:
            for j in range(r.width):
                target[j] = target[j] + scale * source[j]
        else:
            for j in range(r.width):
                at = <uint64_t>r.columns[j]
                target[at] = target[at] + scale * source[j]


reals(GATHER_SUBMATRIX, <kernel_fn>gather_submatrix[float], <kernel_fn>gather_submatrix[double])
reals(SCATTER_SUBMATRIX, <kernel_fn>scatter_submatrix[float], <kernel_fn>scatter_submatrix[double])
