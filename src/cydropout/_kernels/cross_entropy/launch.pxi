# Softmax cross-entropy of labels, with its gradient, ready to run over rows of logits.

include "settings.pxi"


def wrong_label(cnp.ndarray labels, int64_t classes):
    """Return where the first of the labels that is no class stands, or -1; labels are int64."""
    cdef const int64_t *label = <const int64_t*>address(labels)
    cdef int64_t i, count = cnp.PyArray_SIZE(labels)
    for i in range(count):
        if label[i] < 0 or label[i] >= classes:
            return i
    return -1


cdef double run_cross_entropy(cross_entropy_t *settings, int code, const void *logits,
                              void *gradient, uint64_t rows, int num_threads,
                              uint64_t *hits) except? -1 nogil:
    """The mean loss over rows of logits; count those that are right."""
    cdef double loss = 0
    cdef uint64_t row
    launch(CROSS_ENTROPY, code, logits, gradient, settings, rows * settings.classes, rows,
           num_threads)
    hits[0] = 0
    for row in range(rows):
        loss += settings.below[row] - log(settings.inverse[row])
        hits[0] += settings.right[row]
    return loss / <double>rows


def cross_entropy(cnp.ndarray logits, cnp.ndarray labels, cnp.ndarray gradient, int code,
                  int num_threads=0):
    """Return the mean loss and how many predictions are right; arrays are checked by the caller.

    loss = m - z[label] + log(sum(exp(z - m))), with m the greatest of a row z; its derivative goes
    into `gradient`.
    """
    cdef cross_entropy_t settings
    cdef uint64_t rows = <uint64_t>cnp.PyArray_SIZE(labels)
    cdef uint64_t hits
    cdef double loss
    cdef cnp.ndarray pairs = np.empty((2, rows)), right = np.empty(rows, np.uint8)
    cdef const void *source = address(logits)
    cdef void *target = address(gradient)
    settings.classes = <uint64_t>cnp.PyArray_SIZE(logits) // rows
    settings.labels = <const int64_t*>address(labels)
    settings.factor = 1.0 / <double>rows
    settings.below = <double*>address(pairs)
    settings.inverse = settings.below + rows
    settings.right = <uint8_t*>address(right)
    with nogil:
        loss = run_cross_entropy(&settings, code, source, target, rows, num_threads, &hits)
    return loss, hits
