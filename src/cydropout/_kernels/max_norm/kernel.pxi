# The norm of each column of a matrix, held below a bound: max-norm.

include "settings.pxi"

cdef void add_squares(const real *w, double *total, uint64_t count) noexcept nogil:
    """total += w w, in float64, whose range holds the squares of every float32."""
    cdef uint64_t i
    for i in range(count):
        total[i] += <double>w[i] * <double>w[i]


cdef void squared_range(const real *g, real *w, const step_t *s, uint64_t begin,
                        uint64_t end) noexcept nogil:
    """Step, then total[column] += w w, tile by tile, for the chunks [begin, end).

    Tiles lie over the columns as in bias_activation_dropout: the caller folds what lies past them.
    """
    cdef uint64_t chunk, tile, at
    cdef double *total
    for chunk in range(begin, end):
        total = <double*>chunk_totals(&s.sums, chunk)
        for tile in range(chunk_tile(&s.sums, chunk), chunk_tile(&s.sums, chunk + 1)):
            if s.kernel != NULL:
                s.kernel(g, w, s, tile, tile + 1)
            at = tile * TILE
            add_squares[real](w + at, total + at % s.sums.columns,
                              min(<uint64_t>TILE, s.size - at))


cdef void columns_range(const void *_, real *w, const columns_t *s, uint64_t begin,
                        uint64_t end) noexcept nogil:
    """w *= factor[column], for the tiles [begin, end)."""
    cdef const real *factors
    cdef real *row
    cdef uint64_t tile, at, i
    for tile in range(begin, end):
        at = tile * TILE
        row, factors = w + at, <const real*>s.factors + at % s.columns
        for i in range(min(<uint64_t>TILE, s.size - at)):
            row[i] = row[i] * factors[i]


reals(MAX_NORM_STEP, <kernel_fn>squared_range[float], <kernel_fn>squared_range[double])
reals(SCALE_COLUMNS, <kernel_fn>columns_range[float], <kernel_fn>columns_range[double])
