# Losses and their gradients, over the rows of predictions.

cdef inline bint is_first_greatest(const real *z, uint64_t label, real greatest) noexcept nogil:
    cdef uint64_t i
    if not z[label] == greatest:
        return False
    for i in range(label):
        if z[i] == greatest:
            return False
    return True


cdef void cross_entropy_rows(const real *z, real *dz, const loss_t *s, uint64_t begin,
                             uint64_t end) noexcept nogil:
    """dz = (softmax(z) - one_hot(label)) / count, for the rows [begin, end).

    The value of a row is m - z[label] - log(1 / sum(exp(z - m))), with m its greatest logit.
    """
    cdef const int64_t *labels = <const int64_t*>s.targets
    cdef uint64_t row, at, label
    cdef real statistics[2]
    cdef real factor = <real>(1 / s.count)
    for row in range(begin, end):
        at, label = row * s.columns, <uint64_t>labels[row]
        softmax(dz + at, z + at, statistics, s.columns, NULL, 0, NULL, 1, factor)
        dz[at + label] -= factor
        s.values[row] = <double>(statistics[0] - z[at + label]) - log(<double>statistics[1])
        s.hits[row] = is_first_greatest[real](z + at, label, statistics[0])


cdef void squared_error_rows(const real *y, real *dy, const loss_t *s, uint64_t begin,
                             uint64_t end) noexcept nogil:
    """dy = 2 (y - t) / count, for the rows [begin, end); the value is the sum of (y - t)**2."""
    cdef const real *t = <const real*>s.targets
    cdef uint64_t row, i
    cdef real factor = <real>(1 / s.count)
    cdef real difference
    cdef double value
    for row in range(begin, end):
        value = 0
        for i in range(row * s.columns, (row + 1) * s.columns):
            difference = y[i] - t[i]
            value += <double>(difference * difference)
            dy[i] = (difference + difference) * factor
        s.values[row], s.hits[row] = value, 0


reals(CROSS_ENTROPY, <kernel_fn>cross_entropy_rows[float], <kernel_fn>cross_entropy_rows[double])
reals(SQUARED_ERROR, <kernel_fn>squared_error_rows[float], <kernel_fn>squared_error_rows[double])
