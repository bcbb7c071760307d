# Softmax, cross-entropy of labels, and the gradient, over the rows of logits.

include "settings.pxi"

cdef inline bint is_first_greatest(const real *z, uint64_t label, real greatest) noexcept nogil:
    cdef uint64_t i
    if not z[label] == greatest:
        return False
    for i in range(label):
        if z[i] == greatest:
            return False
    return True


cdef void cross_entropy_rows(const real *z, real *dz, const cross_entropy_t *s, uint64_t begin,
                             uint64_t end) noexcept nogil:
    """dz = factor * (softmax(z) - one_hot(label)), for the rows [begin, end).

    Of each row too: how far the label's logit z lies below the greatest m, and
    1 / sum(exp(z - m)), which make the loss; and whether the prediction is right.
    """
    cdef uint64_t row, at, label
    cdef real statistics[2]
    cdef real factor = <real>s.factor
    for row in range(begin, end):
        at, label = row * s.classes, <uint64_t>s.labels[row]
        softmax(dz + at, z + at, statistics, s.classes, NULL, 0, NULL, 1, factor)
        dz[at + label] -= factor
        s.below[row] = statistics[0] - z[at + label]
        s.inverse[row] = statistics[1]
        s.right[row] = is_first_greatest[real](z + at, label, statistics[0])


reals(CROSS_ENTROPY, <kernel_fn>cross_entropy_rows[float], <kernel_fn>cross_entropy_rows[double])
