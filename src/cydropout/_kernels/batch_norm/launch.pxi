# Normalised columns, ready to run over checked arrays of shape (rows, columns).

include "settings.pxi"


def normalise(int kind, cnp.ndarray source, cnp.ndarray x, cnp.ndarray target, int code,
              cnp.ndarray center, cnp.ndarray scale=None, cnp.ndarray shift=None,
              cnp.ndarray mean=None, cnp.ndarray tilt=None, cnp.ndarray totals=None,
              uint64_t span=1, bint relu=False, cnp.ndarray at=None, tuple maps=None,
              tuple counts=None, tuple size=None, int num_threads=0):
    """Run the pass of that row of the table; sums go to `totals`, (units, 2, columns).

    With `at` windows of that size lie side by side over the rows as maps, and it says which element
    of each is the largest: gradients are those of the windows.
    """
    cdef norm_t s
    cdef uint64_t units
    cdef const void *start = address(source)
    cdef void *to = address_or_null(target)
    s.columns = <uint64_t>cnp.PyArray_DIM(source, 1)
    s.rows = <uint64_t>cnp.PyArray_DIM(source if x is None else x, 0)
    s.span, s.relu = span, relu
    s.x, s.center, s.scale = address_or_null(x), address_or_null(center), address_or_null(scale)
    s.shift, s.mean, s.tilt = address_or_null(shift), address_or_null(mean), address_or_null(tilt)
    s.totals = <double*>address_or_null(totals)
    if not <int>MOMENTS <= kind <= <int>NORMALISE_BACKWARD or (kind == NORMALISE_POOL) > (
            at is not None):
        raise ValueError(f"{kind} is no kernel of batch_norm, or lacks its windows")
    memset(&s.pool, 0, sizeof(windows_t))
    if at is not None:
        s.pool = sliding(maps, counts, size, size, (0, 0), 0, maps[3], at)
    units = (s.rows + span - 1) // span
    if kind == NORMALISE_POOL:
        units = s.rows // (s.pool.height * s.pool.width) * s.pool.rows
    if s.rows * s.columns * units == 0:
        return
    with nogil:
        launch(kind, code, start, to, &s, s.rows * s.columns, units, num_threads)
