/* Multiplicative noise with a factor for each element, for one float type; activations.h comes first.
 *
 * Included twice, as activations.h is. A factor is a function of theta, rows of numbers `stride` apart,
 * computed in REAL, and of what theta and one standard variate of float32 make for each element: its
 * part. `step` is 32 where thetas differ, or 0.
 */

typedef struct {
    const REAL *theta;
    uint64_t stride, step;
    REAL sharpness;
} NAME(cyd_law_);

/* The part, the factor f, and its derivative.
 *
 * Normal n, theta = (sigma):           the part is n itself; f = 1 + sigma n, df/dsigma = n.
 * Logistic n, theta = (eta, 1/q, p):   z = sigmoid((eta + n) / t), and the part is 1 - z, or 0 beyond
 *                                      the range of exp; f = (1 - z) / q,
 *                                      df/deta = -z (1 - z) / (t q) + (1 - z) p / q. */
static void NAME(cyd_noise_parts_)(REAL *part, const float *n, const REAL *theta, uint64_t step,
                             REAL sharpness, uint64_t count) {
    const VECTOR zero = {0};
    for (uint64_t word = 0; word < count; word++) {
        for (int k = 0; k < 32; k += LANES) {
            VECTOR a, v;
            CYD_LOAD(a, theta + step * word + k);
            FROM_F32(v, n + 32 * word + k);
            const VECTOR x = (a + v) * sharpness;
            v = NAME(cyd_choose_)(x > zero + EXP_RANGE, zero, NAME(cyd_sigmoid_)(-x));
            CYD_STORE(part + 32 * word + k, v);
        }
    }
}

CYD_INLINE VECTOR NAME(cyd_factor_)(const void *parts, uint64_t i, const NAME(cyd_law_) law,
                                    uint64_t at, const int logistic, VECTOR *derivative) {
    VECTOR a, b, c, part;
    if (!logistic) {
        CYD_LOAD(a, law.theta + at);
        FROM_F32(part, (const float *)parts + i);
        *derivative = part;
        return 1 + a * part;
    }
    CYD_LOAD(part, (const REAL *)parts + i);
    CYD_LOAD(b, law.theta + law.stride + at);
    CYD_LOAD(c, law.theta + 2 * law.stride + at);
    /* Where the part is 0, 1/q may be too large to be represented. */
    const VECTOR f = NAME(cyd_choose_)(part == 0, part, part * b);
    *derivative = f * (c - (1 - part) * law.sharpness);
    return f;
}

/* y = f x for `count` words of 32 elements, and backward: dx = f dy, sum += dy x df/dtheta. */
#define CYD_DEFINE_NOISE(name, type, load, store)                                                \
    CYD_INLINE void cyd_noise_words_##name(type *y, const type *x, const void *parts,            \
                                           const NAME(cyd_law_) law, uint64_t count,             \
                                           const int logistic) {                                 \
        for (uint64_t word = 0; word < count; word++) {                                          \
            for (int k = 0; k < 32; k += LANES) {                                                \
                VECTOR v, derivative;                                                                 \
                load(v, x + 32 * word + k);                                                      \
                v = v * NAME(cyd_factor_)(parts, 32 * word + k, law, law.step * word + k,        \
                                          logistic, &derivative);                                     \
                store(y + 32 * word + k, v);                                                     \
            }                                                                                    \
        }                                                                                        \
    }                                                                                            \
    CYD_INLINE void cyd_noise_back_words_##name(                                                 \
        type *dx, REAL *sum, const type *dy, const type *x, const void *parts,                   \
        const NAME(cyd_law_) law, uint64_t count, const int logistic) {                          \
        for (uint64_t word = 0; word < count; word++) {                                          \
            for (int k = 0; k < 32; k += LANES) {                                                \
                VECTOR g, v, t, derivative;                                                           \
                load(g, dy + 32 * word + k);                                                     \
                load(v, x + 32 * word + k);                                                      \
                CYD_LOAD(t, sum + 32 * word + k);                                                \
                const VECTOR f = NAME(cyd_factor_)(parts, 32 * word + k, law,                    \
                                                   law.step * word + k, logistic, &derivative);       \
                t = t + g * v * derivative;                                                           \
                g = g * f;                                                                       \
                store(dx + 32 * word + k, g);                                                    \
                CYD_STORE(sum + 32 * word + k, t);                                               \
            }                                                                                    \
        }                                                                                        \
    }                                                                                            \
    static void cyd_noise_##name(type *y, const type *x, const void *parts, const REAL *theta,   \
                                 uint64_t stride, uint64_t step, REAL sharpness, uint64_t count, \
                                 int logistic) {                                                 \
        const NAME(cyd_law_) law = {theta, stride, step, sharpness};                             \
        if (logistic) cyd_noise_words_##name(y, x, parts, law, count, 1);                        \
        else cyd_noise_words_##name(y, x, parts, law, count, 0);                                 \
    }                                                                                            \
    static void cyd_noise_back_##name(                                                           \
        type *dx, REAL *sum, const type *dy, const type *x, const void *parts, const REAL *theta,\
        uint64_t stride, uint64_t step, REAL sharpness, uint64_t count, int logistic) {          \
        const NAME(cyd_law_) law = {theta, stride, step, sharpness};                             \
        if (logistic) cyd_noise_back_words_##name(dx, sum, dy, x, parts, law, count, 1);         \
        else cyd_noise_back_words_##name(dx, sum, dy, x, parts, law, count, 0);                  \
    }

#define cyd_noise_parts(y, ...) CYD_REAL(cyd_noise_parts, y)(y, __VA_ARGS__)
