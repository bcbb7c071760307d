# Layer normalization, ready to run over rows.

include "settings.pxi"

cdef layer_norm_t norm_settings(cnp.ndarray x, cnp.ndarray statistics, cnp.ndarray weight):
    """Inputs are checked by the callers: contiguous, of one dtype, and at least one column."""
    cdef layer_norm_t norm
    memset(&norm, 0, sizeof(norm))
    norm.rows = <uint64_t>cnp.PyArray_SIZE(statistics) // 2
    norm.columns = <uint64_t>cnp.PyArray_DIM(x, cnp.PyArray_NDIM(x) - 1)
    norm.stride = <uint64_t>cnp.PyArray_SIZE(weight)
    norm.weight, norm.statistics = address(weight), address(statistics)
    norm.x = address(x)
    return norm


def layer_norm(cnp.ndarray x, cnp.ndarray y, cnp.ndarray statistics, cnp.ndarray weight,
               cnp.ndarray bias, double epsilon, int code, int num_threads=0):
    """y = (x - mean) / sqrt(variance + epsilon) * weight + bias along the last axis.

    `weight` and `bias` have as many columns as x, and zeros up to a whole number of 64 bytes.
    """
    cdef layer_norm_t norm = norm_settings(x, statistics, weight)
    cdef void *target = address(y)
    norm.bias, norm.epsilon = address(bias), epsilon
    with nogil:
        launch(LAYER_NORM, code, norm.x, target, &norm, norm.rows * norm.columns, norm.rows,
               num_threads)


def layer_norm_backward(cnp.ndarray dy, cnp.ndarray x, cnp.ndarray dx, cnp.ndarray totals,
                        cnp.ndarray statistics, cnp.ndarray weight, int code, int num_threads=0):
    """dx, and in `totals` the sums of dweight and dbias of each chunk of the rows.

    The rows are split by the length of `totals` alone, so that the sums, to the bit, do not depend
    on the threads.
    """
    cdef layer_norm_t norm = norm_settings(x, statistics, weight)
    cdef const void *source = address(dy)
    cdef void *target = address(dx)
    norm.totals, norm.chunks = address(totals), <uint64_t>cnp.PyArray_DIM(totals, 0)
    with nogil:
        launch(LAYER_NORM_BACKWARD, code, source, target, &norm, norm.rows * norm.columns,
               norm.chunks, num_threads)
