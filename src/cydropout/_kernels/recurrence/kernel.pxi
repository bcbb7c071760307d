# Steps of a recurrent cell over rows of states, each behind or before a product.

include "settings.pxi"

cdef extern from "simd/simd.h" nogil:
    ctypedef struct choice_t "cyd_choice_t":
        const uint32_t *words
        uint64_t at
        double scale
    ctypedef struct cell_row_t "cyd_row_t":
        int cell
        uint64_t units
        choice_t hidden
        choice_t later
        choice_t update
        choice_t zone_h
        choice_t zone_c
        void *z
        void *inner
        void *h
        void *c
        void *next
        const void *product
        const void *bias
        const void *inner_bias
        const void *h_before
        const void *c_before
        const void *dy
        const void *back
        void *dz
        void *ds
        void *flow
        void *dh
        void *dc
        void *before
    void cell_row "cyd_cell_row"(...) noexcept
    void cell_back_row "cyd_cell_back_row"(...) noexcept
    void panel_product "cyd_panel_product"(...) noexcept


cdef inline char *place(const void *p, uint64_t bytes) noexcept nogil:
    return NULL if p == NULL else <char*>p + bytes


cdef inline void choose(choice_t *choice, const keep_t *keep, uint64_t row,
                        uint64_t step) noexcept nogil:
    choice.words = keep.words
    choice.at = row * keep.row + step * keep.step
    choice.scale = keep.scale


cdef void fill_row(cell_row_t *r, const cell_t *s, uint64_t row) noexcept nogil:
    """Where the parts of one row lie: sequences are (rows, steps, units), states (rows, units)."""
    cdef uint64_t units = s.units * s.size, gates = s.gates * units
    cdef uint64_t at = row * s.steps + s.step
    r.cell, r.units = s.cell, s.units
    choose(&r.hidden, &s.hidden, row, s.step)
    choose(&r.later, &s.hidden, row, s.step + 1)
    if s.step + 1 == s.steps:
        r.later.words = NULL   # nothing enters a step that there is not
    choose(&r.update, &s.update, row, s.step)
    choose(&r.zone_h, &s.zone_h, row, s.step)
    choose(&r.zone_c, &s.zone_c, row, s.step)
    r.z = place(s.z, at * gates)
    r.inner = place(s.inner, at * units)
    r.h = place(s.h, at * units)
    r.c = place(s.c, at * units)
    r.next = place(s.next, row * units)
    r.product = place(s.product, row * gates)
    r.bias, r.inner_bias = s.bias, s.inner_bias
    r.h_before = place(s.h, (at - 1) * units) if s.step else place(s.h0, row * units)
    r.c_before = place(s.c, (at - 1) * units) if s.step else place(s.c0, row * units)
    r.dy = place(s.dy, at * units) if s.each else (
        place(s.dy, row * units) if s.step + 1 == s.steps else NULL)
    r.back = place(s.back, row * units)
    r.dz = place(s.dz, at * gates)
    r.ds = place(s.ds, at * gates)
    r.flow = place(s.flow, row * gates)
    r.dh = place(s.dh, row * units)
    r.dc = place(s.dc, row * units)
    r.before = place(s.before, at * units)


cdef inline bint is_over(const cell_t *s, uint64_t row) noexcept nogil:
    return s.lengths != NULL and <int64_t>s.step >= s.lengths[row]


cdef inline void zeros(void *p, uint64_t bytes) noexcept nogil:
    if p != NULL:
        memset(p, 0, bytes)


cdef void stay(const cell_row_t *r, uint64_t bytes) noexcept nogil:
    """h = h_before and c = c_before, and nothing enters a product."""
    memcpy(r.h, r.h_before, bytes)
    if r.c != NULL:
        memcpy(r.c, r.c_before, bytes)
    zeros(r.next, bytes)


cdef void stay_back(const real *x, const cell_row_t *r, uint64_t units,
                    uint64_t gates) noexcept nogil:
    """dh += dy, and no gate has a gradient."""
    cdef real *dh = <real*>r.dh
    cdef const real *dy = <const real*>r.dy
    cdef uint64_t k
    if dy != NULL:
        for k in range(units):
            dh[k] = dh[k] + dy[k]
    zeros(r.dz, gates * sizeof(real))
    zeros(r.ds, gates * sizeof(real))
    zeros(r.flow, gates * sizeof(real))
    zeros(r.before, units * sizeof(real))


cdef void cell_rows(const real *x, real *y, const cell_t *s, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """The gates, in the place of z, and the new states."""
    cdef uint64_t row, step, units = s.units * s.size, gates = s.gates * units
    cdef cell_t now = s[0]
    cdef cell_row_t r
    begin, end = begin * s.together, min(end * s.together, s.rows)
    for step in range(s.first, s.behind):
        now.step = step
        if s.panels != NULL:
            panel_product(x, place(s.product, begin * gates), place(s.next, begin * units),
                          s.panels, end - begin, s.gates * s.units, s.units)
        for row in range(begin, end):
            fill_row(&r, &now, row)
            if is_over(&now, row):
                stay(&r, units)
            else:
                cell_row(x, &r)


cdef void cell_back_rows(const real *x, real *y, const cell_t *s, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """The gradients of the gates before their activation, and of the states before the step."""
    cdef uint64_t row, step, units = s.units * s.size, gates = s.gates * units
    cdef cell_t now = s[0]
    cdef cell_row_t r
    begin, end = begin * s.together, min(end * s.together, s.rows)
    for step in range(s.first, s.behind):
        now.step = s.steps - 1 - step
        for row in range(begin, end):
            fill_row(&r, &now, row)
            if is_over(&now, row):
                stay_back(x, &r, s.units, s.gates * s.units)
            else:
                cell_back_row(x, &r)
        if s.panels != NULL:
            panel_product(x, place(s.back, begin * units), place(s.flow, begin * gates), s.panels,
                          end - begin, s.units, s.gates * s.units)


reals(RECURRENCE, <kernel_fn>cell_rows[float], <kernel_fn>cell_rows[double])
reals(RECURRENCE_BACKWARD, <kernel_fn>cell_back_rows[float], <kernel_fn>cell_back_rows[double])
