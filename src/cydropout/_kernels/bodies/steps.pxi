# Optimizer steps: one pass over parameter, gradient and state.

cdef inline real root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef void sgd_range(const real *g, real *w, const step_t *s, uint64_t begin,
                    uint64_t end) noexcept nogil:
    """g' = g + decay w; v = beta1 v + g'; w -= lr (g' + beta1 v if nesterov else v)."""
    cdef real *velocity = <real*>s.first
    cdef real lr = <real>s.learning_rate, momentum = <real>s.beta1, decay = <real>s.decay
    cdef real slope
    cdef uint64_t i, first = begin * TILE, last = min(end * TILE, s.size)
    if velocity == NULL:
        for i in range(first, last):
            w[i] = w[i] - lr * (g[i] + decay * w[i])
    elif s.nesterov:
        for i in range(first, last):
            slope = g[i] + decay * w[i]
            velocity[i] = momentum * velocity[i] + slope
            w[i] = w[i] - lr * (slope + momentum * velocity[i])
    else:
        for i in range(first, last):
            velocity[i] = momentum * velocity[i] + (g[i] + decay * w[i])
            w[i] = w[i] - lr * velocity[i]


cdef void adam_range(const real *g, real *w, const step_t *s, uint64_t begin,
                     uint64_t end) noexcept nogil:
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g g; w -= decay w + lr m / (sqrt(v) c + eps).

    `learning_rate` holds the bias correction of m, and c = `correction` that of v.
    """
    cdef real *m = <real*>s.first
    cdef real *v = <real*>s.second
    cdef real lr = <real>s.learning_rate, decay = <real>s.decay, epsilon = <real>s.epsilon
    cdef real b1 = <real>s.beta1, a1 = <real>(1 - s.beta1)
    cdef real b2 = <real>s.beta2, a2 = <real>(1 - s.beta2), c = <real>s.correction
    cdef real mean, square
    cdef uint64_t i, first = begin * TILE, last = min(end * TILE, s.size)
    for i in range(first, last):
        mean = b1 * m[i] + a1 * g[i]
        square = b2 * v[i] + a2 * (g[i] * g[i])
        m[i] = mean
        v[i] = square
        w[i] = (w[i] - decay * w[i]) - lr * mean / (root[real](square) * c + epsilon)


cdef void rmsprop_range(const real *g, real *w, const step_t *s, uint64_t begin,
                        uint64_t end) noexcept nogil:
    """v = b2 v + (1 - b2) g g; w -= lr g / (sqrt(v) + epsilon)."""
    cdef real *v = <real*>s.first
    cdef real lr = <real>s.learning_rate, epsilon = <real>s.epsilon
    cdef real b2 = <real>s.beta2, a2 = <real>(1 - s.beta2)
    cdef real square
    cdef uint64_t i, first = begin * TILE, last = min(end * TILE, s.size)
    for i in range(first, last):
        square = b2 * v[i] + a2 * (g[i] * g[i])
        v[i] = square
        w[i] = w[i] - lr * g[i] / (root[real](square) + epsilon)
