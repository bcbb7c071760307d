# Layer normalization of rows, and its backward with the sums for weight and bias.

include "settings.pxi"

cdef extern from "simd/simd.h" nogil:
    void layer_norm "cyd_layer_norm"(...) noexcept
    void layer_norm_back "cyd_layer_norm_back"(...) noexcept


cdef void layer_norm_rows(const real *x, real *y, const layer_norm_t *norm, uint64_t begin,
                          uint64_t end) noexcept nogil:
    """y = (x - mean) / sqrt(variance + epsilon) * weight + bias for the rows [begin, end)."""
    cdef real *statistics = <real*>norm.statistics
    cdef const real *weight = <const real*>norm.weight
    cdef const real *bias = <const real*>norm.bias
    cdef uint64_t row, at
    for row in range(begin, end):
        at = row * norm.columns
        layer_norm(y + at, x + at, statistics + 2 * row, weight, bias, norm.columns, norm.epsilon)


cdef void layer_norm_chunks(const real *dy, real *dx, const layer_norm_t *norm, uint64_t begin,
                            uint64_t end) noexcept nogil:
    """dx, and the sums of dweight and dbias, for the chunks [begin, end) of the rows."""
    cdef const real *statistics = <const real*>norm.statistics
    cdef const real *weight = <const real*>norm.weight
    cdef const real *x = <const real*>norm.x
    cdef real *dweight
    cdef real *dbias
    cdef uint64_t chunk, row, at
    for chunk in range(begin, end):
        dweight = <real*>norm.totals + 2 * chunk * norm.stride
        dbias = dweight + norm.stride
        for row in range(norm.rows * chunk // norm.chunks,
                         norm.rows * (chunk + 1) // norm.chunks):
            at = row * norm.columns
            layer_norm_back(dx + at, dweight, dbias, dy + at, x + at, statistics + 2 * row, weight,
                            norm.columns)


reals(LAYER_NORM, <kernel_fn>layer_norm_rows[float], <kernel_fn>layer_norm_rows[double])
reals(LAYER_NORM_BACKWARD, <kernel_fn>layer_norm_chunks[float],
      <kernel_fn>layer_norm_chunks[double])
