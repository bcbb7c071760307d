# Softmax with dropout over the rows of the scores, and its backward.

include "settings.pxi"

cdef extern from "simd/simd.h" nogil:
    void softmax "cyd_softmax"(...) noexcept
    void softmax_back "cyd_softmax_back"(...) noexcept


cdef inline uint64_t seen(const softmax_t *settings, uint64_t row) noexcept nogil:
    """How many keys the row sees; the others give 0."""
    if not settings.causal:
        return settings.keys
    return min(settings.keys, row % settings.queries + 1)


cdef inline const uint32_t *allowed(const softmax_t *settings, uint64_t row) noexcept nogil:
    if settings.allow == NULL:
        return NULL
    return settings.allow + settings.which[row] * settings.words


cdef void softmax_rows(const real *x, real *y, const softmax_t *settings, uint64_t begin,
                       uint64_t end) noexcept nogil:
    """y = factor * softmax(scale * x) where kept, else 0, for the rows [begin, end)."""
    cdef real *statistics = <real*>settings.statistics
    cdef uint64_t row, at, count
    for row in range(begin, end):
        at, count = row * settings.keys, seen(settings, row)
        fetch(x + at + settings.keys, count * sizeof(real))
        fetch(y + at + settings.keys, settings.keys * sizeof(real))
        softmax(y + at, x + at, statistics + 2 * row, count, settings.keep, at,
                allowed(settings, row), settings.scale, settings.factor)
        memset(y + at + count, 0, (settings.keys - count) * sizeof(real))


cdef void softmax_backward_rows(const real *dy, real *dx, const softmax_t *settings,
                                uint64_t begin, uint64_t end) noexcept nogil:
    """dx = scale * p * (g - sum(p * g)), with p the softmax and g = factor * dy where kept."""
    cdef const real *statistics = <const real*>settings.statistics
    cdef const real *x = <const real*>settings.scores
    cdef uint64_t row, at, count
    for row in range(begin, end):
        at, count = row * settings.keys, seen(settings, row)
        fetch(x + at + settings.keys, count * sizeof(real))
        fetch(dy + at + settings.keys, count * sizeof(real))
        fetch(dx + at + settings.keys, settings.keys * sizeof(real))
        softmax_back(dx + at, dy + at, x + at, statistics + 2 * row, count, settings.keep, at,
                     allowed(settings, row), settings.scale, settings.factor)
        memset(dx + at + count, 0, (settings.keys - count) * sizeof(real))


reals(SOFTMAX, <kernel_fn>softmax_rows[float], <kernel_fn>softmax_rows[double])
reals(SOFTMAX_BACKWARD, <kernel_fn>softmax_backward_rows[float],
      <kernel_fn>softmax_backward_rows[double])
