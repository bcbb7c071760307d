# Rows picked by their number, over checked arrays.

include "settings.pxi"

cdef enum:
    STRIP = 16         # columns


cdef gather_t rows_of(const int64_t *index, uint64_t rows, uint64_t columns) noexcept:
    """Some rows of a table, all as they are."""
    cdef gather_t g
    g.index, g.rows, g.columns, g.mask = index, rows, columns, NULL
    g.span = max(<uint64_t>1, 4 * TILE // max(columns, <uint64_t>1))
    return g


cdef int run_gather(const gather_t *g, int code, const void *x, void *y,
                    int num_threads) except -1 nogil:
    return launch(GATHER, code, x, y, g, g.rows * g.columns, (g.rows + g.span - 1) // g.span,
                  num_threads)


cdef gather_t picked(cnp.ndarray index, uint64_t columns, mask_t *mask, Plan plan, words):
    """The rows that `index`, int64, picks; `plan` has a bit for each row of the table, in `words`.
    """
    cdef gather_t g = rows_of(
        <const int64_t*>address(index), <uint64_t>cnp.PyArray_SIZE(index), columns)
    if plan is not None:
        mask[0] = plan.mask
        mask.bits = <uint32_t*>address(words)
        mask.source = STORED
        g.mask = mask
    return g


def gather(cnp.ndarray x, cnp.ndarray index, cnp.ndarray y, uint64_t columns, int code,
           Plan plan=None, int num_threads=0):
    """y[r] = scale * x[index[r]] where that row is kept, else 0; zeros where the index is -1.

    Rows have `columns` elements. All is contiguous, and the index within the table.
    """
    cdef mask_t mask
    words = None if plan is None else plan.bits(num_threads)
    cdef gather_t g = picked(index, columns, &mask, plan, words)
    cdef const void *source = address(x)
    cdef void *target = address(y)
    with nogil:
        run_gather(&g, code, source, target, num_threads)


def scatter_add(cnp.ndarray x, cnp.ndarray index, cnp.ndarray y, uint64_t columns, int code,
                Plan plan=None, int num_threads=0):
    """y[index[r]] += scale * x[r] where that row is kept; float32 or float64."""
    cdef mask_t mask
    words = None if plan is None else plan.bits(num_threads)
    cdef gather_t g = picked(index, columns, &mask, plan, words)
    cdef const void *source = address(x)
    cdef void *target = address(y)
    if g.rows * columns == 0:
        return
    # As many columns at once as leave each thread some: how they are split changes no sum.
    cdef uint64_t strips = (columns + STRIP - 1) // STRIP
    cdef uint64_t threads = team(g.rows * columns, strips, num_threads)
    g.span = STRIP * ((strips + threads - 1) // threads)
    with nogil:
        launch(SCATTER_ADD, code, source, target, &g, g.rows * columns,
               (columns + g.span - 1) // g.span, num_threads)
