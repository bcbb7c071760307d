# Optimizer steps of a matrix of which some rows and columns alone have a gradient.

cdef enum:
    STRETCH = 1024     # columns at once: their gradients stay in the nearest cache
    MOST_RUNS = 512    # of every other one of these
    FEW = 4            # less than one column in so many: then each is picked

ctypedef struct stretch_t:
    uint64_t first     # of the columns
    uint64_t count
    uint64_t start     # which of the submatrix's columns are among them
    uint64_t stop
    uint64_t runs      # of these
    bint apart         # the runs are short
    uint64_t at[MOST_RUNS]
    uint64_t length[MOST_RUNS]


cdef void go_on(stretch_t *part, const submatrix_t *r) noexcept nogil:
    """Describe the next columns."""
    cdef uint64_t run, at, end
    part.first += part.count
    part.count = min(<uint64_t>STRETCH, r.stride - part.first)
    part.start, part.runs = part.stop, 0
    end = part.first + part.count
    while part.stop < r.width and number_at(r.columns, part.stop) < end:
        at = number_at(r.columns, part.stop)
        run = min(run_from(r.columns, part.stop, r.width), end - at)
        part.at[part.runs], part.length[part.runs] = at - part.first, run
        part.runs += 1
        part.stop += run
    part.apart = not are_long(part.runs, part.stop - part.start)


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


cdef inline void spread(const real *g, real *to, const stretch_t *part,
                        const int64_t *columns) noexcept nogil:
    """Put the gradients of a row where its columns are."""
    cdef uint64_t k
    if part.apart:
        for k in range(part.start, part.stop):
            to[<uint64_t>columns[k] - part.first] = g[k]
        return
    g += part.start
    for k in range(part.runs):
        memcpy(to + part.at[k], g, part.length[k] * sizeof(real))
        g += part.length[k]


cdef void step_stretch(const real *g, real *w, const step_t *s, const stretch_t *part,
                       uint64_t begin, uint64_t end) noexcept nogil:
    """One step of these columns of the rows, whose gradient is 0 but in the submatrix."""
    cdef const submatrix_t *r = s.submatrix
    cdef const real *gradient
    cdef uint64_t row, at, place = begin
    cdef real zeros[STRETCH]
    cdef real gradients[STRETCH]
    memset(zeros, 0, sizeof(zeros))
    memset(gradients, 0, sizeof(gradients))
    if r.rows != NULL:
        place = place_from(r.rows, r.height, begin)
    for row in range(begin, end):
        at = row * r.stride + part.first
        gradient = zeros
        if place < r.height and number_at(r.rows, place) == row:
            gradient = g + place * r.width + part.first
            if r.columns != NULL:
                spread[real](g + place * r.width, gradients, part, r.columns)
                gradient = gradients
            place += 1
        step_part[real](gradient, w + at, state_at[real](<real*>s.first, at),
                        state_at[real](<real*>s.second, at), s, part.count)


cdef inline real *taken(const real *source, real *part, const int64_t *index,
                        uint64_t count) noexcept nogil:
    """Copy some elements, all without an index, to a part; NULL of NULL."""
    cdef uint64_t k
    if source == NULL:
        return NULL
    for k in range(count):
        part[k] = source[k if index == NULL else index[k]]
    return part


cdef inline void put_back(real *target, const real *part, const int64_t *index, const real *kept,
                          uint64_t count) noexcept nogil:
    """The reverse: those that the index has, or without one those that are kept."""
    cdef uint64_t k
    if target == NULL:
        return
    if index != NULL:
        for k in range(count):
            target[index[k]] = part[k]
    else:
        for k in range(count):
            target[k] = part[k] if kept[k] != 0 else target[k]


cdef void step_lazily(const real *g, real *w, const step_t *s, const stretch_t *part,
                      uint64_t begin, uint64_t end) noexcept nogil:
    """One step of the submatrix's columns among these, of its rows, and of nothing else."""
    cdef const submatrix_t *r = s.submatrix
    cdef const int64_t *index = NULL
    cdef const real *own
    cdef uint64_t row, at, k, count = part.count
    cdef real gradients[STRETCH]
    cdef real kept[STRETCH]
    cdef real parts[3 * STRETCH]
    cdef real *states[3]
    memset(kept, 0, sizeof(kept))
    memset(gradients, 0, sizeof(gradients))
    for k in range(part.start, part.stop if part.apart else part.start):
        kept[<uint64_t>r.columns[k] - part.first] = 1
    if part.apart and (part.stop - part.start) * FEW < part.count:
        index, count = r.columns + part.start, part.stop - part.start
    for row in range(begin, end):
        own = g + row * r.width
        at = number_at(r.rows, row) * r.stride + (part.first if index == NULL else 0)
        states[0], states[1] = w + at, state_at[real](<real*>s.first, at)
        states[2] = state_at[real](<real*>s.second, at)
        if not part.apart:
            own += part.start
            for k in range(part.runs):
                step_part[real](
                    own, states[0] + part.at[k], state_at[real](states[1], part.at[k]),
                    state_at[real](states[2], part.at[k]), s, part.length[k])
                own += part.length[k]
            continue
        if index != NULL:
            own += part.start
        else:
            spread[real](own, gradients, part, r.columns)
            own = gradients
        step_part[real](
            own,
            taken[real](states[0], parts, index, count),
            taken[real](states[1], parts + STRETCH, index, count),
            taken[real](states[2], parts + 2 * STRETCH, index, count), s, count)
        for k in range(3):
            put_back[real](states[k], parts + k * STRETCH, index, kept, count)


cdef void step_rows(const real *g, real *w, const step_t *s, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """One step of the rows [begin, end): of the submatrix alone, or of the matrix around it too."""
    cdef stretch_t part
    part.first = part.count = part.stop = 0
    while part.first + part.count < s.submatrix.stride:
        go_on(&part, s.submatrix)
        if s.lazy:
            step_lazily[real](g, w, s, &part, begin, end)
        else:
            step_stretch[real](g, w, s, &part, begin, end)


reals(OPTIMIZER_STEP_ROWS, <kernel_fn>step_rows[float], <kernel_fn>step_rows[double])
