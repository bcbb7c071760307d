# The gradients of normalised columns, of all rows or of the largest in windows of maps.

cdef inline real rectified(real gradient, real x, real center, real scale, real shift,
                           bint relu) noexcept nogil:
    """The gradient of what enters the ReLU, if there is one."""
    if relu and (x - center) * scale + shift <= 0:
        return 0
    return gradient


cdef void unpooled(const real *dy, real *to, const windows_t *w, uint64_t first,
                   uint64_t rows) noexcept nogil:
    """The gradients of some elements of the maps, of those of windows side by side."""
    cdef uint64_t m = first % w.width, line = first // w.width, last = first + rows, k, at, count
    while first < last:
        count = min(w.width - m, last - first)
        k = line % w.height
        if k // w.size[0] < w.rows:
            at = (line // w.height * w.rows + k // w.size[0]) * w.columns * w.channels
            unpool(to, dy + at, w.at + at, <int>(k % w.size[0] * w.size[1]), w.size[1], m, count,
                   w.columns, w.channels)
        else:
            memset(to, 0, count * w.channels * sizeof(real))
        to += count * w.channels
        first += count
        line += 1
        m = 0


cdef inline const real *gradients_of(const real *dy, real *room, const norm_t *s, uint64_t first,
                                     uint64_t end, uint64_t *rows) noexcept nogil:
    """The gradients of a piece from the first row on, and of how many rows that is."""
    rows[0] = min(end - first, max(<uint64_t>1, PIECE // s.columns))
    if s.pool.at == NULL:
        return dy + first * s.columns
    unpooled[real](dy, room, &s.pool, first, rows[0])
    return room


cdef inline void back_sums_of_lanes(const real *gradient, const norm_t *s, double *to,
                                    uint64_t first, uint64_t rows, uint64_t at, int lanes,
                                    bint relu) noexcept nogil:
    """Add the sums of g and of g (x - center) of the columns from `at` on."""
    cdef const real *x = <const real*>s.x + first * s.columns + at
    cdef const real *center = <const real*>s.center + at
    cdef const real *scale = <const real*>s.scale + at
    cdef const real *shift = <const real*>s.shift + at
    cdef double a[SUM_LANES]
    cdef double b[SUM_LANES]
    cdef double g
    cdef uint64_t row, i
    cdef int c
    for c in range(lanes):
        a[c], b[c] = to[at + c], to[s.columns + at + c]
    for row in range(rows):
        for c in range(lanes):
            i = row * s.columns + c
            g = <double>rectified[real](
                gradient[i + at], x[i], center[c], scale[c], shift[c], relu)
            a[c] += g
            b[c] += g * (<double>x[i] - <double>center[c])
    for c in range(lanes):
        to[at + c], to[s.columns + at + c] = a[c], b[c]


cdef void norm_back_sums(const real *dy, void *unused, const norm_t *s, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """The sums of g and of g (x - center) over each unit's rows, with g as `rectified` gives it."""
    cdef double *to
    cdef uint64_t unit, c, first, last, rows, columns = s.columns
    cdef const real *gradient
    cdef real room[PIECE]
    cdef int lanes
    for unit in range(begin, end):
        to = s.totals + 2 * unit * columns
        first, last = unit * s.span, min((unit + 1) * s.span, s.rows)
        while first < last:
            gradient = gradients_of[real](dy, room, s, first, last, &rows)
            c = 0
            while c < columns:
                lanes = <int>min(<uint64_t>SUM_LANES, columns - c)
                # With a constant number the compiler keeps the sums in registers.
                if lanes < SUM_LANES:
                    back_sums_of_lanes[real](gradient, s, to, first, rows, c, lanes, s.relu)
                elif s.relu:
                    back_sums_of_lanes[real](gradient, s, to, first, rows, c, SUM_LANES, True)
                else:
                    back_sums_of_lanes[real](gradient, s, to, first, rows, c, SUM_LANES, False)
                c += SUM_LANES
            first += rows


cdef inline void back_lanes(const real *gradient, real *dx, const norm_t *s, uint64_t first,
                            uint64_t rows, uint64_t at, int lanes, bint relu) noexcept nogil:
    """Some columns, from `at` on, of `norm_back_rows`."""
    cdef const real *x = <const real*>s.x + first * s.columns + at
    cdef real center[SUM_LANES]
    cdef real scale[SUM_LANES]
    cdef real shift[SUM_LANES]
    cdef real mean[SUM_LANES]
    cdef real tilt[SUM_LANES]
    cdef real g
    cdef uint64_t row, i
    cdef int c
    dx += first * s.columns + at
    for c in range(lanes):
        center[c], scale[c] = (<const real*>s.center)[at + c], (<const real*>s.scale)[at + c]
        shift[c], mean[c] = (<const real*>s.shift)[at + c], (<const real*>s.mean)[at + c]
        tilt[c] = (<const real*>s.tilt)[at + c]
    for row in range(rows):
        for c in range(lanes):
            i = row * s.columns + c
            g = rectified[real](gradient[i + at], x[i], center[c], scale[c], shift[c], relu)
            dx[i] = g * scale[c] - mean[c] - (x[i] - center[c]) * tilt[c]


cdef void norm_back_rows(const real *dy, real *dx, const norm_t *s, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """dx = g * scale - mean - (x - center) * tilt."""
    cdef uint64_t c, rows, columns = s.columns
    cdef uint64_t first = begin * s.span, last = min(end * s.span, s.rows)
    cdef const real *gradient
    cdef real room[PIECE]
    while first < last:
        gradient = gradients_of[real](dy, room, s, first, last, &rows)
        c = 0
        while c < columns:
            if c + SUM_LANES > columns:
                back_lanes[real](gradient, dx, s, first, rows, c, <int>(columns - c), s.relu)
            elif s.relu:
                back_lanes[real](gradient, dx, s, first, rows, c, SUM_LANES, True)
            else:
                back_lanes[real](gradient, dx, s, first, rows, c, SUM_LANES, False)
            c += SUM_LANES
        first += rows


reals(NORMALISE_BACKWARD_SUMS, <kernel_fn>norm_back_sums[float], <kernel_fn>norm_back_sums[double])
reals(NORMALISE_BACKWARD, <kernel_fn>norm_back_rows[float], <kernel_fn>norm_back_rows[double])
