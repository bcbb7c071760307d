# Columns normalised to a mean and a spread, and backward.

include "settings.pxi"

# So many columns are summed at a time, in registers.
cdef enum:
    SUM_LANES = 32

cdef inline real rectified(real gradient, real x, real center, real scale, real shift,
                           bint relu) noexcept nogil:
    """The gradient of what enters the ReLU, if there is one."""
    if relu and (x - center) * scale + shift <= 0:
        return 0
    return gradient


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


cdef void norm_rows(const real *x, real *y, const norm_t *s, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """y = (x - center) * scale + shift, then a ReLU where it is asked for."""
    cdef const real *center = <const real*>s.center
    cdef const real *scale = <const real*>s.scale
    cdef const real *shift = <const real*>s.shift
    cdef uint64_t row, c, columns = s.columns
    cdef real value
    for row in range(begin * s.span, min(end * s.span, s.rows)):
        if s.relu:
            for c in range(columns):
                value = (x[row * columns + c] - center[c]) * scale[c] + shift[c]
                y[row * columns + c] = 0 if value <= 0 else value
        else:
            for c in range(columns):
                y[row * columns + c] = (x[row * columns + c] - center[c]) * scale[c] + shift[c]


cdef inline void back_sums_of_lanes(const real *dy, const norm_t *s, double *to, uint64_t first,
                                    uint64_t rows, uint64_t at, int lanes,
                                    bint relu) noexcept nogil:
    """Write the sums of g and of g (x - center) of the columns from `at` on."""
    cdef const real *x = <const real*>s.x + first * s.columns + at
    cdef const real *gradient = dy + first * s.columns + at
    cdef const real *center = <const real*>s.center + at
    cdef const real *scale = <const real*>s.scale + at
    cdef const real *shift = <const real*>s.shift + at
    cdef double a[SUM_LANES]
    cdef double b[SUM_LANES]
    cdef double g
    cdef uint64_t row, i
    cdef int c
    for c in range(lanes):
        a[c], b[c] = 0, 0
    for row in range(rows):
        for c in range(lanes):
            i = row * s.columns + c
            g = <double>rectified[real](gradient[i], x[i], center[c], scale[c], shift[c], relu)
            a[c] += g
            b[c] += g * (<double>x[i] - <double>center[c])
    for c in range(lanes):
        to[at + c], to[s.columns + at + c] = a[c], b[c]


cdef void norm_back_sums(const real *dy, void *unused, const norm_t *s, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """The sums of g and of g (x - center) over each unit's rows, with g as `rectified` gives it."""
    cdef double *to
    cdef uint64_t unit, c, first, rows, columns = s.columns
    cdef int lanes
    for unit in range(begin, end):
        to = s.totals + 2 * unit * columns
        first = unit * s.span
        rows = min(s.span, s.rows - first)
        c = 0
        while c < columns:
            lanes = <int>min(<uint64_t>SUM_LANES, columns - c)
            # With a constant number the compiler keeps the sums in registers.
            if lanes < SUM_LANES:
                back_sums_of_lanes[real](dy, s, to, first, rows, c, lanes, s.relu)
            elif s.relu:
                back_sums_of_lanes[real](dy, s, to, first, rows, c, SUM_LANES, True)
            else:
                back_sums_of_lanes[real](dy, s, to, first, rows, c, SUM_LANES, False)
            c += SUM_LANES


cdef void norm_back_rows(const real *dy, real *dx, const norm_t *s, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """dx = g * scale - mean - (x - center) * tilt."""
    cdef const real *x = <const real*>s.x
    cdef const real *center = <const real*>s.center
    cdef const real *scale = <const real*>s.scale
    cdef const real *shift = <const real*>s.shift
    cdef const real *mean = <const real*>s.mean
    cdef const real *tilt = <const real*>s.tilt
    cdef uint64_t row, at, c, columns = s.columns
    cdef bint relu = s.relu
    cdef real g
    for row in range(begin * s.span, min(end * s.span, s.rows)):
        at = row * columns
        for c in range(columns):
            g = rectified[real](dy[at + c], x[at + c], center[c], scale[c], shift[c], relu)
            dx[at + c] = g * scale[c] - mean[c] - (x[at + c] - center[c]) * tilt[c]


reals(MOMENTS, <kernel_fn>norm_sums[float], <kernel_fn>norm_sums[double])
reals(NORMALISE, <kernel_fn>norm_rows[float], <kernel_fn>norm_rows[double])
reals(NORMALISE_BACKWARD_SUMS, <kernel_fn>norm_back_sums[float], <kernel_fn>norm_back_sums[double])
reals(NORMALISE_BACKWARD, <kernel_fn>norm_back_rows[float], <kernel_fn>norm_back_rows[double])
