# One number for each window of a map whose channels come last, and backward.

cdef extern from "simd/simd.h" nogil:
    void largest "cyd_pool"(...) noexcept
    void largest_back "cyd_pool_back"(...) noexcept


cdef inline uint64_t inside(uint64_t *places, uint8_t *numbers, const windows_t *w, uint64_t unit,
                            uint64_t j) noexcept nogil:
    """Where the elements of a window lie that are within the map, and which of it they are."""
    cdef uint64_t k, m, top, bottom, left, right, count = 0
    cdef int64_t row = clipped(unit % w.rows, w, 0, w.height, &top, &bottom)
    cdef int64_t column = clipped(j, w, 1, w.width, &left, &right)
    for k in range(top, bottom):
        for m in range(left, right):
            places[count] = <uint64_t>(
                (row + <int64_t>k) * <int64_t>w.width + column + <int64_t>m) * w.channels
            numbers[count] = <uint8_t>(k * w.size[1] + m)
            count += 1
    return count


cdef void max_rows(const real *x, real *y, const windows_t *w, uint64_t begin,
                   uint64_t end) noexcept nogil:
    """y = the largest element of each window, or a NaN in it; `at` says which one it was."""
    cdef uint64_t places[MAX_WINDOW]
    cdef uint8_t numbers[MAX_WINDOW]
    cdef uint64_t unit, j, count, to
    cdef const real *sample
    for unit in range(begin, end):
        sample = x + unit // w.rows * w.height * w.width * w.channels
        for j in range(w.columns):
            count = inside(places, numbers, w, unit, j)
            to = (unit * w.columns + j) * w.channels
            largest(y + to, w.at + to, sample, places, numbers, count, w.channels)


cdef void max_back_maps(const real *dy, real *dx, const windows_t *w, uint64_t begin,
                        uint64_t end) noexcept nogil:
    """dx = the sum of dy over the windows whose largest element it is; a unit is a sample."""
    cdef uint64_t places[MAX_WINDOW]
    cdef uint8_t numbers[MAX_WINDOW]
    cdef uint64_t unit, j, count, to, size = w.height * w.width * w.channels
    cdef real *sample
    memset(dx + begin * size, 0, (end - begin) * size * sizeof(real))
    for unit in range(begin * w.rows, end * w.rows):
        sample = dx + unit // w.rows * size
        for j in range(w.columns):
            count = inside(places, numbers, w, unit, j)
            to = (unit * w.columns + j) * w.channels
            largest_back(dy + to, w.at + to, sample, places, numbers, count, w.channels)


cdef void mean_rows(const real *x, real *y, const windows_t *w, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """y = the mean of each window's elements within the map."""
    cdef uint64_t unit, j, k, m, c, top, bottom, left, right
    cdef int64_t row, column
    cdef real share
    cdef const real *source
    cdef real *target
    for unit in range(begin, end):
        row = clipped(unit % w.rows, w, 0, w.height, &top, &bottom)
        row += <int64_t>(unit // w.rows * w.height)
        for j in range(w.columns):
            column = clipped(j, w, 1, w.width, &left, &right)
            target = y + (unit * w.columns + j) * w.channels
            memset(target, 0, w.channels * sizeof(real))
            for k in range(top, bottom):
                for m in range(left, right):
                    source = x + ((row + <int64_t>k) * <int64_t>w.width + column
                                  + <int64_t>m) * <int64_t>w.channels
                    add_run[real](target, source, w.channels)
            share = <real>1 / <real>((bottom - top) * (right - left))
            for c in range(w.channels):
                target[c] = target[c] * share


cdef void mean_back_maps(const real *dy, real *dx, const windows_t *w, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """dx = the sum of dy over the windows it lies in, each by its size; a unit is a sample."""
    cdef uint64_t unit, j, k, m, c, top, bottom, left, right
    cdef uint64_t size = w.height * w.width * w.channels
    cdef int64_t row, column
    cdef real share
    cdef const real *source
    cdef real *target
    memset(dx + begin * size, 0, (end - begin) * size * sizeof(real))
    for unit in range(begin * w.rows, end * w.rows):
        row = clipped(unit % w.rows, w, 0, w.height, &top, &bottom)
        row += <int64_t>(unit // w.rows * w.height)
        for j in range(w.columns):
            column = clipped(j, w, 1, w.width, &left, &right)
            source = dy + (unit * w.columns + j) * w.channels
            share = <real>1 / <real>((bottom - top) * (right - left))
            for k in range(top, bottom):
                for m in range(left, right):
                    target = dx + ((row + <int64_t>k) * <int64_t>w.width + column
                                   + <int64_t>m) * <int64_t>w.channels
                    for c in range(w.channels):
                        target[c] = target[c] + share * source[c]


reals(MAX_POOL, <kernel_fn>max_rows[float], <kernel_fn>max_rows[double])
reals(MAX_POOL_BACKWARD, <kernel_fn>max_back_maps[float], <kernel_fn>max_back_maps[double])
reals(MEAN_POOL, <kernel_fn>mean_rows[float], <kernel_fn>mean_rows[double])
reals(MEAN_POOL_BACKWARD, <kernel_fn>mean_back_maps[float], <kernel_fn>mean_back_maps[double])
