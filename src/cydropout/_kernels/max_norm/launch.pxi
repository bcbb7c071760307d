# The columns of a matrix, each times a factor.

include "settings.pxi"


def scale_columns(cnp.ndarray w, cnp.ndarray factors, uint64_t columns, int num_threads=0):
    """Multiply each column of w in place; the factors are of its dtype, a row and a tile."""
    cdef columns_t settings
    cdef int code = _code_if_ready(w)
    cdef void *target = address(w)
    settings.factors, settings.columns = address(factors), columns
    settings.size = <uint64_t>cnp.PyArray_SIZE(w)
    with nogil:
        launch(SCALE_COLUMNS, code, NULL, target, &settings, settings.size, tiles(settings.size),
               num_threads)
