# Windows that slide over maps whose channels come last, as the rows of a matrix.

include "settings.pxi"

cdef inline int64_t clipped(uint64_t place, const windows_t *w, int axis, uint64_t length,
                            uint64_t *low, uint64_t *high) noexcept nogil:
    """Where a window begins, which may be before 0, and the part [low, high) inside the map."""
    cdef int64_t start = <int64_t>(place * w.stride[axis]) - <int64_t>w.before[axis]
    cdef int64_t left = <int64_t>length - start
    low[0] = <uint64_t>(-start) if start < 0 else 0
    high[0] = 0 if left < 0 else min(<uint64_t>left, w.size[axis])
    if high[0] < low[0]:
        high[0] = low[0]
    return start


cdef inline void copy_run(real *y, const real *x, uint64_t count) noexcept nogil:
    # Of a length that the compiler knows a copy is a few moves: two that overlap serve any count.
    if count > 16:
        memcpy(y, x, count * sizeof(real))
    elif count > 7:
        memcpy(y, x, 8 * sizeof(real))
        memcpy(y + count - 8, x + count - 8, 8 * sizeof(real))
    elif count > 3:
        memcpy(y, x, 4 * sizeof(real))
        memcpy(y + count - 4, x + count - 4, 4 * sizeof(real))
    elif count > 1:
        memcpy(y, x, 2 * sizeof(real))
        memcpy(y + count - 2, x + count - 2, 2 * sizeof(real))
    elif count == 1:
        y[0] = x[0]


cdef inline void add_run(real *y, const real *x, uint64_t count) noexcept nogil:
    cdef uint64_t i
    for i in range(count):
        y[i] = y[i] + x[i]


cdef inline void copy_window(real *y, const real *line, const windows_t *w,
                             uint64_t j) noexcept nogil:
    """y[m, c] = line[j s - p + m, first + c]: a row of a window, of a row of the map."""
    cdef uint64_t m, i, left, right
    cdef int64_t column = clipped(j, w, 1, w.width, &left, &right)
    cdef const real *source
    for i in range(left * w.taken):
        y[i] = 0
    for m in range(left, right):
        source = line + (column + <int64_t>m) * <int64_t>w.channels + w.first
        copy_run[real](y + m * w.taken, source, w.taken)
    for i in range(right * w.taken, w.size[1] * w.taken):
        y[i] = 0


cdef void unfold_rows(const real *x, real *y, const windows_t *w, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """y[n, i, j, k, m, c] = x[n, i s - p + k, j s - p + m, first + c], 0 outside the map.

    A unit of work is a row of windows.
    """
    cdef uint64_t unit, j, k, top, bottom
    cdef uint64_t line = w.size[1] * w.taken, window = w.size[0] * line
    cdef int64_t row, column
    cdef int64_t last = <int64_t>w.width - <int64_t>w.size[1] if w.taken == w.channels else -1
    cdef const real *source
    cdef real *target
    for unit in range(begin, end):
        row = clipped(unit % w.rows, w, 0, w.height, &top, &bottom)
        row += <int64_t>(unit // w.rows * w.height)
        for k in range(w.size[0]):
            target = y + unit * w.columns * window + k * line
            source = x + (row + <int64_t>k) * <int64_t>(w.width * w.channels)
            column = -<int64_t>w.before[1]
            for j in range(w.columns):
                if k < top or k >= bottom:
                    memset(target, 0, line * sizeof(real))
                elif 0 <= column <= last:
                    copy_run[real](target, source + column * <int64_t>w.channels, line)
                else:
                    copy_window[real](target, source, w, j)
                target += window
                column += <int64_t>w.stride[1]


cdef void fold_rows(const real *x, real *y, const windows_t *w, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """The adjoint of `unfold_rows`, in the channels taken; a unit of work is a row of a map."""
    cdef uint64_t unit, i, j, k, m, left, right, sample
    cdef uint64_t line = w.size[1] * w.taken
    cdef int64_t at, column
    cdef const real *source
    cdef real *row
    cdef real *target
    for unit in range(begin, end):
        sample = unit // w.height
        row = y + unit * w.width * w.channels + w.first
        for i in range(w.width):
            memset(row + i * w.channels, 0, w.taken * sizeof(real))
        for k in range(w.size[0]):
            at = <int64_t>(unit % w.height + w.before[0]) - <int64_t>k
            if at < 0 or at % <int64_t>w.stride[0] or at // <int64_t>w.stride[0] >= <int64_t>w.rows:
                continue
            i = sample * w.rows + <uint64_t>at // w.stride[0]
            for j in range(w.columns):
                column = clipped(j, w, 1, w.width, &left, &right)
                source = x + ((i * w.columns + j) * w.size[0] + k) * line + left * w.taken
                target = row + (column + <int64_t>left) * <int64_t>w.channels
                if w.taken == w.channels:
                    add_run[real](target, source, (right - left) * w.taken)
                else:
                    for m in range(left, right):
                        add_run[real](target, source, w.taken)
                        target += w.channels
                        source += w.taken


reals(UNFOLD, <kernel_fn>unfold_rows[float], <kernel_fn>unfold_rows[double])
reals(FOLD, <kernel_fn>fold_rows[float], <kernel_fn>fold_rows[double])
