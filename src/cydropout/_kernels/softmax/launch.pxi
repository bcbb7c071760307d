# Softmax with dropout, ready to run over scores of shape (..., queries, keys).

include "settings.pxi"

cdef softmax_t softmax_settings(cnp.ndarray scores, cnp.ndarray statistics, cnp.ndarray keep,
                                cnp.ndarray allow, cnp.ndarray which, bint causal, double scale,
                                double factor):
    """Inputs are checked by the callers: contiguous, and all of the dtype of the scores.

    `keep` holds the packed bits of all elements; row `which[r]` of `allow` the bits of the keys
    that row r sees.
    """
    cdef softmax_t settings
    cdef int last = cnp.PyArray_NDIM(scores) - 1
    settings.keys = <uint64_t>cnp.PyArray_DIM(scores, last)
    settings.queries = <uint64_t>cnp.PyArray_DIM(scores, last - 1) if last else 1
    settings.causal, settings.scale, settings.factor = causal, scale, factor
    settings.keep = <const uint32_t*>address_or_null(keep)
    settings.allow, settings.which, settings.words = NULL, NULL, 0
    if allow is not None:
        settings.allow = <const uint32_t*>address(allow)
        settings.which = <const uint64_t*>address(which)
        settings.words = <uint64_t>cnp.PyArray_DIM(allow, 1)
    settings.statistics = address(statistics)
    settings.scores = address(scores)
    return settings


def softmax(cnp.ndarray scores, cnp.ndarray y, cnp.ndarray statistics, cnp.ndarray keep,
            cnp.ndarray allow, cnp.ndarray which, bint causal, double scale, double factor,
            int code, int num_threads=0):
    """y = factor * softmax(scale * scores) where kept, else 0; `y` may be the scores."""
    cdef softmax_t settings = softmax_settings(
        scores, statistics, keep, allow, which, causal, scale, factor)
    cdef void *target = address(y)
    cdef uint64_t size = <uint64_t>cnp.PyArray_SIZE(scores)
    cdef uint64_t rows = <uint64_t>cnp.PyArray_SIZE(statistics) // 2
    with nogil:
        launch(SOFTMAX, code, settings.scores, target, &settings, size, rows, num_threads)


def softmax_backward(cnp.ndarray dy, cnp.ndarray scores, cnp.ndarray dscores,
                     cnp.ndarray statistics, cnp.ndarray keep, cnp.ndarray allow,
                     cnp.ndarray which, bint causal, double scale, double factor, int code,
                     int num_threads=0):
    """The gradient of the scores for `dy`; `dscores` overlaps neither of them."""
    cdef softmax_t settings = softmax_settings(
        scores, statistics, keep, allow, which, causal, scale, factor)
    cdef const void *source = address(dy)
    cdef void *target = address(dscores)
    cdef uint64_t size = <uint64_t>cnp.PyArray_SIZE(scores)
    cdef uint64_t rows = <uint64_t>cnp.PyArray_SIZE(statistics) // 2
    with nogil:
        launch(SOFTMAX_BACKWARD, code, source, target, &settings, size, rows, num_threads)
