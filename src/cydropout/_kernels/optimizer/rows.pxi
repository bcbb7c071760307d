# Optimizer steps of a matrix of which some rows and columns alone have a gradient.

cdef inline void spread(const real *g, real *to, const stretch_t *part) noexcept nogil:
    """Put the gradients of a row where its columns are."""
    cdef uint64_t k
    if part.apart:
        put[real](g, to, part, False)
        return
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
    memset(zeros, 0, part.count * sizeof(real))
    memset(gradients, 0, part.count * sizeof(real))
    if r.rows != NULL:
        place = place_from(r.rows, r.height, begin)
    for row in range(begin, end):
        at = row * r.stride + part.first
        gradient = zeros
        if place < r.height and number_at(r.rows, place) == row:
            gradient = g + place * r.width + part.start
            if r.columns != NULL:
                spread[real](gradient, gradients, part)
                gradient = gradients
            place += 1
        step_part[real](gradient, w + at, state_at[real](<real*>s.first, at),
                        state_at[real](<real*>s.second, at), s, part.count)


cdef void step_lazily(const real *g, real *w, const step_t *s, const stretch_t *part,
                      uint64_t begin, uint64_t end) noexcept nogil:
    """One step of the submatrix's columns among these, of its rows, and of nothing else."""
    cdef const submatrix_t *r = s.submatrix
    cdef const real *own
    cdef uint64_t row, at, k
    cdef real parts[3][STRETCH]
    cdef real *taken[3]
    cdef real *states[3]
    for row in range(begin, end):
        own = g + row * r.width + part.start
        at = number_at(r.rows, row) * r.stride + part.first
        states[0], states[1] = w + at, state_at[real](<real*>s.first, at)
        states[2] = state_at[real](<real*>s.second, at)
        if not part.apart:
            for k in range(part.runs):
                step_part[real](
                    own, states[0] + part.at[k], state_at[real](states[1], part.at[k]),
                    state_at[real](states[2], part.at[k]), s, part.length[k])
                own += part.length[k]
            continue
        for k in range(3):
            taken[k] = NULL if states[k] == NULL else parts[k]
            if states[k] != NULL:
                pick[real](states[k], parts[k], part, 1)
        step_part[real](own, taken[0], taken[1], taken[2], s, part.stop - part.start)
        for k in range(3):
            if states[k] != NULL:
                put[real](parts[k], states[k], part, True)


cdef void step_rows(const real *g, real *w, const step_t *s, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """One step of the rows [begin, end): of the submatrix alone, or of the matrix around it too."""
    cdef stretch_t part
    part.first = part.count = part.stop = 0
    while part.first + part.count < s.submatrix.stride:
        next_stretch(&part, s.submatrix)
        if s.lazy:
            step_lazily[real](g, w, s, &part, begin, end)
        else:
            step_stretch[real](g, w, s, &part, begin, end)


reals(OPTIMIZER_STEP_ROWS, <kernel_fn>step_rows[float], <kernel_fn>step_rows[double])
