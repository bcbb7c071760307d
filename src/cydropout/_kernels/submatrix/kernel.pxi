# Some rows and columns of a matrix: picked, and put back.

include "stretch.pxi"

cdef void gather_submatrix(const real *x, real *y, const submatrix_t *r, uint64_t begin,
                           uint64_t end) noexcept nogil:
    """y[i, j] = scale x[rows[i], columns[j]]."""
    cdef uint64_t i, j, k
    cdef real scale = <real>r.scale
    cdef const real *source
    cdef real *target
    cdef stretch_t part
    part.first = part.count = part.stop = 0
    while part.first + part.count < r.stride:
        next_stretch(&part, r)
        for i in range(begin * r.span, min(end * r.span, r.height)):
            source = x + number_at(r.rows, i) * r.stride + part.first
            target = y + i * r.width + part.start
            if part.apart:
                pick[real](source, target, &part, scale)
                continue
            for k in range(part.runs):
                for j in range(part.length[k]):
                    target[j] = scale * source[part.at[k] + j]
                target += part.length[k]


cdef void scatter_submatrix(const real *x, real *y, const submatrix_t *r, uint64_t begin,
                            uint64_t end) noexcept nogil:
    """y[rows[i], columns[j]] += scale x[i, j]."""
    cdef uint64_t i, j, at
    cdef real scale = <real>r.scale
    cdef const real *source
    cdef real *target
    for i in range(begin * r.span, min(end * r.span, r.height)):
        source = x + i * r.width
        target = y + number_at(r.rows, i) * r.stride
        if r.columns == NULL:
            for j in range(r.width):
                target[j] = target[j] + scale * source[j]
        else:
            for j in range(r.width):
                at = <uint64_t>r.columns[j]
                target[at] = target[at] + scale * source[j]


reals(GATHER_SUBMATRIX, <kernel_fn>gather_submatrix[float], <kernel_fn>gather_submatrix[double])
reals(SCATTER_SUBMATRIX, <kernel_fn>scatter_submatrix[float], <kernel_fn>scatter_submatrix[double])
