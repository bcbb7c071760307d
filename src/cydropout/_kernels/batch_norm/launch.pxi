# Normalised columns, ready to run over checked arrays of shape (rows, columns).

cdef const void *data_or_null(cnp.ndarray array):
    return NULL if array is None else address(array)


def normalise(int kind, cnp.ndarray source, cnp.ndarray x, cnp.ndarray target, int code,
              cnp.ndarray center, cnp.ndarray scale=None, cnp.ndarray shift=None,
              cnp.ndarray mean=None, cnp.ndarray tilt=None, cnp.ndarray totals=None,
              uint64_t span=1, bint relu=False, int num_threads=0):
    """Run the pass of that row of the table; sums go to `totals`, (units, 2, columns)."""
    cdef norm_t s
    cdef const void *start = address(source)
    cdef void *to = NULL if target is None else address(target)
    s.rows, s.columns = <uint64_t>cnp.PyArray_DIM(source, 0), <uint64_t>cnp.PyArray_DIM(source, 1)
    s.span, s.relu = span, relu
    s.x, s.center, s.scale = data_or_null(x), data_or_null(center), data_or_null(scale)
    s.shift, s.mean, s.tilt = data_or_null(shift), data_or_null(mean), data_or_null(tilt)
    s.totals = NULL if totals is None else <double*>address(totals)
    if not <int>MOMENTS <= kind <= <int>NORMALISE_BACKWARD:
        raise ValueError(f"{kind} is no kernel of batch_norm")
    if s.rows * s.columns == 0:
        return
    with nogil:
        launch(kind, code, start, to, &s, s.rows * s.columns, (s.rows + span - 1) // span,
               num_threads)
