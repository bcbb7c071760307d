# Optimizer steps: one pass over parameter, gradient and state.

include "settings.pxi"

cdef inline real root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline real normal(real x) noexcept nogil:
    """x, or 0 for what is too small for the precision of the others.

    A mean that decays without gradients ends among such numbers, and would stay: each product with
    one takes most CPUs as long as many others.
    """
    if real is float:
        return 0 if fabsf(x) < FLT_MIN else x
    else:
        return 0 if fabs(x) < DBL_MIN else x


cdef void sgd(const real *g, real *w, real *velocity, const step_t *s,
              uint64_t count) noexcept nogil:
    """g' = g + decay w; v = normal(beta1 v + g'); w -= lr (g' + beta1 v if nesterov else v)."""
    cdef real lr = <real>s.learning_rate, momentum = <real>s.beta1, decay = <real>s.decay
    cdef real gradient
    cdef uint64_t i
    if velocity == NULL:
        for i in range(count):
            w[i] = w[i] - lr * (g[i] + decay * w[i])
    elif s.nesterov:
        for i in range(count):
            gradient = g[i] + decay * w[i]
            velocity[i] = normal[real](momentum * velocity[i] + gradient)
            w[i] = w[i] - lr * (gradient + momentum * velocity[i])
    else:
        for i in range(count):
            velocity[i] = normal[real](momentum * velocity[i] + (g[i] + decay * w[i]))
            w[i] = w[i] - lr * velocity[i]


cdef void adam(const real *g, real *w, real *m, real *v, const step_t *s,
               uint64_t count) noexcept nogil:
    """m = normal(b1 m + (1 - b1) g); v = b2 v + (1 - b2) g g.

    Then w -= decay w + lr m / (sqrt(v) c + eps), where `learning_rate` holds the bias correction of
    m, and c = `correction` that of v.
    """
    cdef real lr = <real>s.learning_rate, decay = <real>s.decay, epsilon = <real>s.epsilon
    cdef real b1 = <real>s.beta1, a1 = <real>(1 - s.beta1)
    cdef real b2 = <real>s.beta2, a2 = <real>(1 - s.beta2), c = <real>s.correction
    cdef real mean, square
    cdef uint64_t i
    for i in range(count):
        mean = normal[real](b1 * m[i] + a1 * g[i])
        square = b2 * v[i] + a2 * (g[i] * g[i])
        m[i] = mean
        v[i] = square
        w[i] = (w[i] - decay * w[i]) - lr * mean / (root[real](square) * c + epsilon)


cdef void rmsprop(const real *g, real *w, real *v, const step_t *s,
                  uint64_t count) noexcept nogil:
    """v = b2 v + (1 - b2) g g; w -= lr g / (sqrt(v) + epsilon)."""
    cdef real lr = <real>s.learning_rate, epsilon = <real>s.epsilon
    cdef real b2 = <real>s.beta2, a2 = <real>(1 - s.beta2)
    cdef real square
    cdef uint64_t i
    for i in range(count):
        square = b2 * v[i] + a2 * (g[i] * g[i])
        v[i] = square
        w[i] = w[i] - lr * g[i] / (root[real](square) + epsilon)


cdef inline real *state_at(real *state, uint64_t at) noexcept nogil:
    return NULL if state == NULL else state + at


cdef inline void step_part(const real *g, real *w, real *first, real *second, const step_t *s,
                           uint64_t count) noexcept nogil:
    """One step of `count` parameters that lie side by side, as their gradient and state do."""
    if s.kind == SGD:
        sgd[real](g, w, first, s, count)
    elif s.kind == ADAM:
        adam[real](g, w, first, second, s, count)
    elif s.kind == RMSPROP:
        rmsprop[real](g, w, first, s, count)


cdef void step_range(const real *g, real *w, const step_t *s, uint64_t begin,
                     uint64_t end) noexcept nogil:
    """One step of the tiles [begin, end)."""
    cdef uint64_t at = begin * TILE, last = min(end * TILE, s.size)
    cdef real *first = <real*>s.first
    cdef real *second = <real*>s.second
    step_part[real](g + at, w + at, state_at[real](first, at), state_at[real](second, at), s,
                    last - at)


reals(OPTIMIZER_STEP, <kernel_fn>step_range[float], <kernel_fn>step_range[double])
