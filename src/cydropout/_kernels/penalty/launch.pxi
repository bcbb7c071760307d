# strength * sum w**2, with its gradient: of so few numbers that one build of it is enough.

cdef double squares(const total_t *w, uint64_t size) noexcept nogil:
    """The sum of w**2 in float64, in an order that no build and no thread changes."""
    cdef double sums[16]
    cdef double total = 0
    cdef uint64_t i
    cdef int j
    memset(sums, 0, sizeof(sums))
    for i in range(size // 16):
        for j in range(16):
            sums[j] += <double>w[16 * i + j] * <double>w[16 * i + j]
    for j in range(16):
        total += sums[j]
    for i in range(size // 16 * 16, size):
        total += <double>w[i] * <double>w[i]
    return total


cdef void add_scaled(const total_t *w, total_t *gradient, total_t factor,
                     uint64_t size) noexcept nogil:
    cdef uint64_t i
    for i in range(size):
        gradient[i] += factor * w[i]


cdef double add_l2(const void *w, void *gradient, double strength, uint64_t size,
                   bint wide) noexcept nogil:
    cdef double total
    if wide:
        total = squares(<const double*>w, size)
        add_scaled(<const double*>w, <double*>gradient, 2 * strength, size)
    else:
        total = squares(<const float*>w, size)
        add_scaled(<const float*>w, <float*>gradient, <float>(2 * strength), size)
    return strength * total


def l2_penalty(cnp.ndarray w, cnp.ndarray gradient, double strength):
    """gradient += 2 * strength * w; return strength * sum w**2, both of float32 or float64."""
    cdef const void *values = address(w)
    cdef void *sums = address(gradient)
    cdef uint64_t size = <uint64_t>cnp.PyArray_SIZE(w)
    cdef double total
    cdef bint wide = cnp.PyArray_TYPE(w) == cnp.NPY_FLOAT64
    if (cnp.PyArray_TYPE(gradient) != cnp.PyArray_TYPE(w)
            or not (wide or cnp.PyArray_TYPE(w) == cnp.NPY_FLOAT32)
            or <uint64_t>cnp.PyArray_SIZE(gradient) != size):
        raise ValueError("w and gradient must be float32 or float64, and alike")
    with nogil:
        total = add_l2(values, sums, strength, size, wide)
    return total
