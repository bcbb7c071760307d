# Columns normalised to a mean and a spread, and the way back.

cdef inline real rectified(real slope, real x, real center, real scale, real shift,
                           bint relu) noexcept nogil:
    """The gradient behind the ReLU, if there is one."""
    if relu and (x - center) * scale + shift <= 0:
        return 0
    return slope


cdef void norm_sums(const real *x, void *unused, const norm_t *s, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """The sums of x - center, and of its square, over the rows of each unit of work."""
    cdef const real *center = <const real*>s.center
    cdef double *first
    cdef double *second
    cdef double d
    cdef uint64_t unit, row, c, columns = s.columns
    for unit in range(begin, end):
        first = s.totals + 2 * unit * columns
        second = first + columns
        for row in range(unit * s.span, min((unit + 1) * s.span, s.rows)):
            for c in range(columns):
                d = <double>x[row * columns + c] - <double>center[c]
                first[c] = first[c] + d
                second[c] = second[c] + d * d


cdef void norm_rows(const real *x, real *y, const norm_t *s, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """y = (x - center) * scale + shift, with a ReLU behind it where it is asked for."""
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


cdef void norm_back_sums(const real *dy, void *unused, const norm_t *s, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """The sums of g and of g (x - center), g being dy behind the ReLU, over each unit's rows."""
    cdef const real *x = <const real*>s.x
    cdef const real *center = <const real*>s.center
    cdef const real *scale = <const real*>s.scale
    cdef const real *shift = <const real*>s.shift
    cdef double *first
    cdef double *second
    cdef double g
    cdef uint64_t unit, row, at, c, columns = s.columns
    cdef bint relu = s.relu
    for unit in range(begin, end):
        first = s.totals + 2 * unit * columns
        second = first + columns
        for row in range(unit * s.span, min((unit + 1) * s.span, s.rows)):
            at = row * columns
            for c in range(columns):
                g = <double>rectified[real](
                    dy[at + c], x[at + c], center[c], scale[c], shift[c], relu)
                first[c] = first[c] + g
                second[c] = second[c] + g * (<double>x[at + c] - <double>center[c])


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
