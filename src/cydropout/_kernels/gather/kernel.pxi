# Rows of a table picked by their number, and the sum of gradients back into them.

include "settings.pxi"

cdef void gather_rows(const element *x, element *y, const gather_t *g, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """y[r] = scale * x[index[r]] where that row is kept, else 0."""
    cdef uint64_t row, columns = g.columns
    cdef int64_t at
    for row in range(begin * g.span, min(end * g.span, g.rows)):
        at = g.index[row]
        if at < 0:
            memset(y + row * columns, 0, columns * sizeof(element))
        elif g.mask == NULL:
            memcpy(y + row * columns, x + at * columns, columns * sizeof(element))
        else:
            apply_same[element](y + row * columns, x + at * columns, g.mask, at, columns)


cdef void scatter_columns(const real *x, real *y, const gather_t *g, uint64_t begin,
                          uint64_t end) noexcept nogil:
    """y[index[r]] += scale * x[r] where that row is kept, in the order of r.

    A unit of work is some columns of all rows: nothing is summed in another order by more threads.
    """
    cdef uint64_t first = begin * g.span, last = min(end * g.span, g.columns)
    cdef uint64_t row, i, count = last - first, phase = 0
    cdef const mask_t *mask = g.mask
    cdef const real *source
    cdef real *target
    cdef real scale = 1
    cdef int64_t at
    for row in range(g.rows):
        at = g.index[row]
        if at < 0:
            continue
        if mask != NULL:
            if not (mask.bits[at // 32] >> (at % 32)) & 1:
                continue
            if mask.period:
                phase = <uint64_t>at % mask.period
            scale = <real>(mask.scale32[phase] if real is float else mask.scale64[phase])
        source = x + row * g.columns + first
        target = y + at * g.columns + first
        for i in range(count):
            target[i] = target[i] + scale * source[i]


elements(GATHER, <kernel_fn>gather_rows[f16], <kernel_fn>gather_rows[bf16],
         <kernel_fn>gather_rows[float], <kernel_fn>gather_rows[double])
reals(SCATTER_ADD, <kernel_fn>scatter_columns[float], <kernel_fn>scatter_columns[double])
