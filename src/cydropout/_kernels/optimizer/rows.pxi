# Optimizer steps of a matrix of which some rows and columns alone have a gradient.

cdef enum:
    STRETCH = 1024     # columns at once: their gradients stay in the nearest cache


cdef inline uint64_t place_from(const int64_t *index, uint64_t count,
                                uint64_t least) noexcept nogil:
    """The first place in a sorted index whose number is at least `least`."""
    cdef uint64_t low = 0, high = count, middle
    while low < high:
        middle = (low + high) // 2
        if <uint64_t>index[middle] < least:
            low = middle + 1
        else:
            high = middle
    return low


cdef void step_row(const real *g, real *w, real *zeros, const step_t *s,
                   uint64_t row) noexcept nogil:
    """One step of a whole row, whose gradient is that of the submatrix's columns and 0 elsewhere.

    Without `g` it is 0 everywhere. `zeros`, a stretch of them, holds zeros before and after.
    """
    cdef const submatrix_t *r = s.submatrix
    cdef const real *gradient
    cdef uint64_t at, count, k, first = 0, start = 0, stop = 0
    while first < r.stride:
        count = min(<uint64_t>STRETCH, r.stride - first)
        at = row * r.stride + first
        gradient = zeros
        start = stop
        if g != NULL and r.columns == NULL:
            gradient = g + first
        elif g != NULL:
            while stop < r.width and <uint64_t>r.columns[stop] < first + count:
                zeros[<uint64_t>r.columns[stop] - first] = g[stop]
                stop += 1
        step_part[real](gradient, w + at, state_at[real](<real*>s.first, at),
                        state_at[real](<real*>s.second, at), s, count)
        for k in range(start, stop):
            zeros[<uint64_t>r.columns[k] - first] = 0
        first += count


cdef inline real *picked_part(const real *source, real *part, const int64_t *index,
                              uint64_t count) noexcept nogil:
    cdef uint64_t k
    if source == NULL:
        return NULL
    for k in range(count):
        part[k] = source[index[k]]
    return part


cdef inline void put_back(real *target, const real *part, const int64_t *index,
                          uint64_t count) noexcept nogil:
    cdef uint64_t k
    if target != NULL:
        for k in range(count):
            target[index[k]] = part[k]


cdef void step_lazily(const real *g, real *w, const step_t *s, uint64_t row, bint runs) \
        noexcept nogil:
    """One step of the submatrix's columns of a row."""
    cdef const submatrix_t *r = s.submatrix
    cdef const int64_t *index
    cdef real parts[3 * STRETCH]
    cdef real *first = state_at[real](<real*>s.first, row * r.stride)
    cdef real *second = state_at[real](<real*>s.second, row * r.stride)
    cdef uint64_t at, count, j = 0
    w += row * r.stride
    while j < r.width:
        if runs:
            count = run_from(r.columns, j, r.width)
            at = number_at(r.columns, j)
            step_part[real](g + j, w + at, state_at[real](first, at), state_at[real](second, at),
                            s, count)
        else:
            count = min(<uint64_t>STRETCH, r.width - j)
            index = r.columns + j
            step_part[real](
                g + j, picked_part[real](w, parts, index, count),
                picked_part[real](first, parts + STRETCH, index, count),
                picked_part[real](second, parts + 2 * STRETCH, index, count), s, count)
            put_back[real](w, parts, index, count)
            put_back[real](first, parts + STRETCH, index, count)
            put_back[real](second, parts + 2 * STRETCH, index, count)
        j += count


cdef void step_rows(const real *g, real *w, const step_t *s, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """One step of the rows [begin, end): of the submatrix alone, or of the matrix around it too."""
    cdef const submatrix_t *r = s.submatrix
    cdef uint64_t row, place
    cdef real zeros[STRETCH]
    cdef bint runs = s.lazy and in_few_runs(r)
    if s.lazy:
        for row in range(begin, end):
            step_lazily[real](g + row * r.width, w, s, number_at(r.rows, row), runs)
        return
    memset(zeros, 0, sizeof(zeros))
    place = begin if r.rows == NULL else place_from(r.rows, r.height, begin)
    for row in range(begin, end):
        if place < r.height and number_at(r.rows, place) == row:
            step_row[real](g + place * r.width, w, zeros, s, row)
            place += 1
        else:
            step_row[real](NULL, w, zeros, s, row)


reals(OPTIMIZER_STEP_ROWS, <kernel_fn>step_rows[float], <kernel_fn>step_rows[double])
