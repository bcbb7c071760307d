# Losses, ready to run over rows of predictions.

cdef dict LOSSES = {"softmax_cross_entropy": CROSS_ENTROPY, "mean_squared_error": SQUARED_ERROR}


def wrong_label(cnp.ndarray labels, int64_t classes):
    """Return where the first of the labels that is no class stands, or -1; labels are int64."""
    cdef const int64_t *label = <const int64_t*>address(labels)
    cdef int64_t i, count = cnp.PyArray_SIZE(labels)
    for i in range(count):
        if label[i] < 0 or label[i] >= classes:
            return i
    return -1


cdef loss_t loss_of(int row, uint64_t rows, cnp.ndarray gradient, cnp.ndarray found) except *:
    """The settings of a loss; `found` has 2 numbers of float64 for each row."""
    cdef loss_t loss
    cdef uint64_t size = <uint64_t>cnp.PyArray_SIZE(gradient)
    loss.row, loss.rows, loss.columns = row, rows, size // rows
    loss.count = <double>(rows if row == CROSS_ENTROPY else size)
    loss.gradient, loss.targets = address(gradient), NULL
    loss.values = <double*>address(found)
    loss.hits = loss.values + rows
    return loss


cdef double run_loss(const loss_t *loss, int code, const void *predictions, int num_threads,
                     double *share) except? -1 nogil:
    """The mean loss, and the share of hits."""
    cdef double total = 0
    cdef uint64_t row
    launch(loss.row, code, predictions, loss.gradient, loss, loss.rows * loss.columns, loss.rows,
           num_threads)
    share[0] = 0
    for row in range(loss.rows):
        total += loss.values[row]
        share[0] += loss.hits[row]
    share[0] /= loss.count
    return total / loss.count


def mean_loss(str kind, cnp.ndarray predictions, cnp.ndarray targets, cnp.ndarray gradient,
              int code, int num_threads=0):
    """Return the mean loss and the share of hits; its derivative goes into `gradient`.

    The arrays are checked by the caller: labels of int64, one for each row, of
    "softmax_cross_entropy", and else targets like the predictions.
    """
    cdef int row = number_of(kind, LOSSES)
    cdef uint64_t rows = <uint64_t>(
        cnp.PyArray_SIZE(targets) if row == CROSS_ENTROPY else cnp.PyArray_DIM(targets, 0))
    cdef cnp.ndarray found = np.empty((2, rows))
    cdef loss_t settings = loss_of(row, rows, gradient, found)
    cdef const void *source = address(predictions)
    cdef double value, share = 0
    settings.targets = address(targets)
    with nogil:
        value = run_loss(&settings, code, source, num_threads, &share)
    return value, share
