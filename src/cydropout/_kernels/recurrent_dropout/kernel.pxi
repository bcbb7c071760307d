# A gated update of a state, with dropout of the candidate, and its backward.

cdef extern from "simd/simd.h" nogil:
    void gated_f32 "cyd_gated_f32"(
        float *y, const float *p, const float *f, const float *g, const float *c,
        const float *scale, uint32_t bits) noexcept
    void gated_f64 "cyd_gated_f64"(
        double *y, const double *p, const double *f, const double *g, const double *c,
        const double *scale, uint32_t bits) noexcept
    void gated_back_f32 "cyd_gated_back_f32"(
        float *dp, float *df, float *dg, float *dc, const float *dy, const float *p,
        const float *f, const float *g, const float *c, const float *scale,
        uint32_t bits) noexcept
    void gated_back_f64 "cyd_gated_back_f64"(
        double *dp, double *df, double *dg, double *dc, const double *dy, const double *p,
        const double *f, const double *g, const double *c, const double *scale,
        uint32_t bits) noexcept


cdef void gated_words(const joint_t *joint, uint64_t at, uint64_t phase, const uint32_t *words,
                      uint64_t count) noexcept nogil:
    cdef const char *previous = read_at(joint, 0, at)
    cdef const char *forget = read_at(joint, 1, at)
    cdef const char *gate = read_at(joint, 2, at)
    cdef const char *candidate = read_at(joint, 3, at)
    cdef char *y = write_at(joint, 0, at)
    cdef uint64_t word, i, step = 32 if joint.mask.period else 0
    for word in range(count):
        i = 32 * word * joint.size
        if joint.size == 4:
            gated_f32(<float*>(y + i), <const float*>(previous + i), <const float*>(forget + i),
                      <const float*>(gate + i), <const float*>(candidate + i),
                      joint.mask.scale32 + phase + step * word, words[word])
        else:
            gated_f64(<double*>(y + i), <const double*>(previous + i),
                      <const double*>(forget + i), <const double*>(gate + i),
                      <const double*>(candidate + i),
                      joint.mask.scale64 + phase + step * word, words[word])


cdef void gated_back_words(const joint_t *joint, uint64_t at, uint64_t phase,
                           const uint32_t *words, uint64_t count) noexcept nogil:
    cdef const char *x[5]
    cdef char *y[4]
    cdef uint64_t word, i, step = 32 if joint.mask.period else 0
    cdef int array
    for array in range(5):
        x[array] = read_at(joint, array, at)
    for array in range(4):
        y[array] = write_at(joint, array, at)
    for word in range(count):
        i = 32 * word * joint.size
        if joint.size == 4:
            gated_back_f32(
                <float*>(y[0] + i), <float*>(y[1] + i), <float*>(y[2] + i), <float*>(y[3] + i),
                <const float*>(x[0] + i), <const float*>(x[1] + i), <const float*>(x[2] + i),
                <const float*>(x[3] + i), <const float*>(x[4] + i),
                joint.mask.scale32 + phase + step * word, words[word])
        else:
            gated_back_f64(
                <double*>(y[0] + i), <double*>(y[1] + i), <double*>(y[2] + i),
                <double*>(y[3] + i), <const double*>(x[0] + i), <const double*>(x[1] + i),
                <const double*>(x[2] + i), <const double*>(x[3] + i), <const double*>(x[4] + i),
                joint.mask.scale64 + phase + step * word, words[word])


cdef void gated_range(const void *x, void *y, const joint_t *joint, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """y = forget previous + gate mask(candidate); inputs previous, forget, gate, candidate."""
    joint_tiles(joint, gated_words, begin, end)


cdef void gated_back_range(const void *x, void *y, const joint_t *joint, uint64_t begin,
                           uint64_t end) noexcept nogil:
    """The gradients for the inputs of `gated_range`, from dy and those inputs.

    dprevious = forget dy, dforget = previous dy, dgate = mask(candidate) dy and
    dcandidate = mask(gate dy).
    """
    joint_tiles(joint, gated_back_words, begin, end)


reals(GATED_UPDATE, <kernel_fn>gated_range, <kernel_fn>gated_range)
reals(GATED_UPDATE_BACKWARD, <kernel_fn>gated_back_range, <kernel_fn>gated_back_range)
