# Normalised columns, ready to run over checked arrays of shape (rows, columns).

include "settings.pxi"


def normalise(int kind, cnp.ndarray source, cnp.ndarray x, cnp.ndarray target, int code,
              cnp.ndarray center, cnp.ndarray scale=None, cnp.ndarray shift=None,
              cnp.ndarray mean=None, cnp.ndarray tilt=None, cnp.ndarray totals=None,
              uint64_t span=1, bint relu=False, int num_threads=0):
    """Run the pass of that row of the table; sums go to `totals`, (units, 2, columns)."""
    cdef norm_t s
    cdef const void *start = address(source)
    cdef void *to = address_or_null(target)
    s.rows, s.columns = <uint64_t>cnp.PyArray_DIM(source, 0), <uint64_t>cnp.PyArray_DIM(source, 1)
    s.span, s.relu = span, relu
    s.x, s.center, s.scale = address_or_null(x), address_or_null(center), address_or_null(scale)
    s.shift, s.mean, s.tilt = address_or_null(shift), address_or_null(mean), address_or_null(tilt)
    s.totals = <double*>address_or_null(totals)
    if not <int>MOMENTS <= kind <= <int>NORMALISE_BACKWARD:
        raise ValueError(f"{kind} is no kernel of batch_norm")
    if s.rows * s.columns == 0:
        return
    with nogil:
        launch(kind, code, start, to, &s, s.rows * s.columns, (s.rows + span - 1) // span,
               num_threads)
