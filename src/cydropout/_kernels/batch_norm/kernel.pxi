# Columns normalised to a mean and a spread.

include "settings.pxi"

cdef extern from "simd/simd.h" nogil:
    void norm_pool "cyd_norm_pool"(...) noexcept
    void unpool "cyd_unpool"(...) noexcept

cdef enum:
    SUM_LANES = 32     # columns at a time: what is of each stays in registers
    PIECE = 4096       # elements at a time: they stay in the nearest cache

cdef inline void sums_of_lanes(const real *x, const real *center, double *first, double *second,
                               uint64_t rows, uint64_t columns, int lanes) noexcept nogil:
    """Write the sums of x - center, and of its square, of some columns."""
    cdef double a[SUM_LANES]
    cdef double b[SUM_LANES]
    cdef double d
    cdef uint64_t row
    cdef int c
    for c in range(lanes):
        a[c], b[c] = 0, 0
    for row in range(rows):
        for c in range(lanes):
            d = <double>x[row * columns + c] - <double>center[c]
            a[c] += d
            b[c] += d * d
    for c in range(lanes):
        first[c], second[c] = a[c], b[c]


cdef void norm_sums(const real *x, void *unused, const norm_t *s, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """The sums of x - center, and of its square, over the rows of each unit of work."""
    cdef const real *center = <const real*>s.center
    cdef const real *start
    cdef double *to
    cdef uint64_t unit, c, rows, columns = s.columns
    for unit in range(begin, end):
        to = s.totals + 2 * unit * columns
        start = x + unit * s.span * columns
        rows = min(s.span, s.rows - unit * s.span)
        c = 0
        while c < columns:
            if c + SUM_LANES <= columns:
                sums_of_lanes[real](
                    start + c, center + c, to + c, to + columns + c, rows, columns, SUM_LANES)
            else:
                sums_of_lanes[real](
                    start + c, center + c, to + c, to + columns + c, rows, columns,
                    <int>(columns - c))
            c += SUM_LANES


cdef inline void norm_lanes(const real *x, real *y, const norm_t *s, uint64_t rows, uint64_t at,
                            int lanes, bint relu) noexcept nogil:
    """Some columns, from `at` on, of `norm_rows`."""
    cdef real center[SUM_LANES]
    cdef real scale[SUM_LANES]
    cdef real shift[SUM_LANES]
    cdef real value
    cdef uint64_t row, columns = s.columns
    cdef int c
    for c in range(lanes):
        center[c], scale[c] = (<const real*>s.center)[at + c], (<const real*>s.scale)[at + c]
        shift[c] = (<const real*>s.shift)[at + c]
    for row in range(rows):
        for c in range(lanes):
            value = (x[row * columns + at + c] - center[c]) * scale[c] + shift[c]
            y[row * columns + at + c] = 0 if relu and value <= 0 else value


cdef void norm_rows(const real *x, real *y, const norm_t *s, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """y = (x - center) * scale + shift, then a ReLU where it is asked for."""
    cdef uint64_t c, at, rows, columns = s.columns
    cdef uint64_t first = begin * s.span, last = min(end * s.span, s.rows)
    while first < last:
        rows = min(last - first, max(<uint64_t>1, PIECE // columns))
        at, c = first * columns, 0
        while c < columns:
            # With a constant number the compiler keeps what is of a column in registers.
            if c + SUM_LANES > columns:
                norm_lanes[real](x + at, y + at, s, rows, c, <int>(columns - c), s.relu)
            elif s.relu:
                norm_lanes[real](x + at, y + at, s, rows, c, SUM_LANES, True)
            else:
                norm_lanes[real](x + at, y + at, s, rows, c, SUM_LANES, False)
            c += SUM_LANES
        first += rows


cdef void norm_pool_rows(const real *x, real *y, const norm_t *s, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """The largest element of each window of the same; a unit of work is a row of windows."""
    cdef const windows_t *w = &s.pool
    cdef uint64_t unit, line = w.width * s.columns, to
    cdef const real *source
    for unit in range(begin, end):
        source = x + (unit // w.rows * w.height + unit % w.rows * w.size[0]) * line
        to = unit * w.columns * s.columns
        norm_pool(y + to, w.at + to, source, <const real*>s.center, <const real*>s.scale,
                  <const real*>s.shift, s.relu, w.columns, w.size[0], w.size[1], line, s.columns)


reals(MOMENTS, <kernel_fn>norm_sums[float], <kernel_fn>norm_sums[double])
reals(NORMALISE, <kernel_fn>norm_rows[float], <kernel_fn>norm_rows[double])
reals(NORMALISE_POOL, <kernel_fn>norm_pool_rows[float], <kernel_fn>norm_pool_rows[double])
