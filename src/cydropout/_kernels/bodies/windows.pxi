# Windows that slide over maps whose channels come last: as the rows of a matrix, and pooled.

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
    cdef uint64_t i
    if count >= 16:
        memcpy(y, x, count * sizeof(real))
        return
    for i in range(count):
        y[i] = x[i]


cdef inline void add_run(real *y, const real *x, uint64_t count) noexcept nogil:
    cdef uint64_t i
    for i in range(count):
        y[i] = y[i] + x[i]


cdef void unfold_rows(const real *x, real *y, const windows_t *w, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """y[n, i, j, k, m, c] = x[n, i s - p + k, j s - p + m, first + c], 0 outside the map.

    A unit of work is a row of windows.
    """
    cdef uint64_t unit, i, j, k, m, top, bottom, left, right
    cdef uint64_t line = w.size[1] * w.taken
    cdef int64_t row, column
    cdef const real *source
    cdef real *target
    for unit in range(begin, end):
        row = clipped(unit % w.rows, w, 0, w.height, &top, &bottom)
        row += <int64_t>(unit // w.rows * w.height)
        for j in range(w.columns):
            column = clipped(j, w, 1, w.width, &left, &right)
            target = y + (unit * w.columns + j) * w.size[0] * line
            for k in range(w.size[0]):
                if k < top or k >= bottom or left == right:
                    memset(target, 0, line * sizeof(real))
                    target += line
                    continue
                source = x + w.first + (
                    (row + <int64_t>k) * <int64_t>w.width + column + <int64_t>left
                ) * <int64_t>w.channels
                for i in range(left * w.taken):
                    target[i] = 0
                if w.taken == w.channels:
                    copy_run[real](target + left * w.taken, source, (right - left) * w.taken)
                else:
                    for m in range(left, right):
                        copy_run[real](
                            target + m * w.taken, source + (m - left) * w.channels, w.taken)
                for i in range(right * w.taken, line):
                    target[i] = 0
                target += line


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
            if real is float:
                max_f32(y + to, w.at + to, sample, places, numbers, count, w.channels)
            else:
                max_f64(y + to, w.at + to, sample, places, numbers, count, w.channels)


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
            if real is float:
                max_back_f32(dy + to, w.at + to, sample, places, numbers, count, w.channels)
            else:
                max_back_f64(dy + to, w.at + to, sample, places, numbers, count, w.channels)


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
