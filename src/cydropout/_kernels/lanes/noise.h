/* Multiplicative noise with a factor for each element, for one float type; activations.h comes first.
 *
 * Included twice, as activations.h is. A factor is a function of one standard variate of float32 and of
 * theta, rows of numbers `stride` apart, computed in REAL; `step` is 32 where thetas differ, or 0.
 */

typedef struct {
    const REAL *theta;
    uint64_t stride, step;
    REAL sharpness;
} NAME(cyd_law_);

/* The factor f, and its slope.
 *
 * Normal n, theta = (sigma):           f = 1 + sigma n, df/dsigma = n.
 * Logistic n, theta = (eta, 1/q, p):   z = sigmoid((eta + n) / t), f = (1 - z) / q,
 *                                      df/deta = -z (1 - z) / (t q) + (1 - z) p / q. */
CYD_INLINE VECTOR NAME(cyd_factor_)(VECTOR n, const NAME(cyd_law_) law, uint64_t at,
                                    const int logistic, VECTOR *slope) {
    VECTOR a, b, c;
    CYD_LOAD(a, law.theta + at);
    if (!logistic) {
        *slope = n;
        return 1 + a * n;
    }
    const VECTOR zero = {0};
    CYD_LOAD(b, law.theta + law.stride + at);
    CYD_LOAD(c, law.theta + 2 * law.stride + at);
    const VECTOR x = (a + n) * law.sharpness;
    const VECTOR kept = NAME(cyd_sigmoid_)(-x);
    /* Beyond the range of exp, 1/q may be too large to be represented. */
    const VECTOR f = NAME(cyd_choose_)(x > zero + EXP_RANGE, zero, kept * b);
    *slope = f * (c - (1 - kept) * law.sharpness);
    return f;
}

/* y = f x for `count` words of 32 elements, and the way back: dx = f dy, sum += dy x df/dtheta. */
#define CYD_DEFINE_NOISE(name, type, load, store)                                                \
    CYD_INLINE void cyd_noise_words_##name(type *y, const type *x, const float *n,               \
                                           const NAME(cyd_law_) law, uint64_t count,             \
                                           const int logistic) {                                 \
        for (uint64_t word = 0; word < count; word++) {                                          \
            for (int k = 0; k < 32; k += LANES) {                                                \
                VECTOR v, variate, slope;                                                        \
                load(v, x + 32 * word + k);                                                      \
                FROM_F32(variate, n + 32 * word + k);                                            \
                v = v * NAME(cyd_factor_)(variate, law, law.step * word + k, logistic, &slope);  \
                store(y + 32 * word + k, v);                                                     \
            }                                                                                    \
        }                                                                                        \
    }                                                                                            \
    CYD_INLINE void cyd_noise_back_words_##name(                                                 \
        type *dx, REAL *sum, const type *dy, const type *x, const float *n,                      \
        const NAME(cyd_law_) law, uint64_t count, const int logistic) {                          \
        for (uint64_t word = 0; word < count; word++) {                                          \
            for (int k = 0; k < 32; k += LANES) {                                                \
                VECTOR g, v, t, variate, slope;                                                  \
                load(g, dy + 32 * word + k);                                                     \
                load(v, x + 32 * word + k);                                                      \
                CYD_LOAD(t, sum + 32 * word + k);                                                \
                FROM_F32(variate, n + 32 * word + k);                                            \
                const VECTOR f =                                                                 \
                    NAME(cyd_factor_)(variate, law, law.step * word + k, logistic, &slope);      \
                t = t + g * v * slope;                                                           \
                g = g * f;                                                                       \
                store(dx + 32 * word + k, g);                                                    \
                CYD_STORE(sum + 32 * word + k, t);                                               \
            }                                                                                    \
        }                                                                                        \
    }                                                                                            \
    static void cyd_noise_##name(type *y, const type *x, const float *n, const REAL *theta,      \
                                 uint64_t stride, uint64_t step, REAL sharpness, uint64_t count, \
                                 int logistic) {                                                 \
        const NAME(cyd_law_) law = {theta, stride, step, sharpness};                             \
        if (logistic) cyd_noise_words_##name(y, x, n, law, count, 1);                            \
        else cyd_noise_words_##name(y, x, n, law, count, 0);                                     \
    }                                                                                            \
    static void cyd_noise_back_##name(                                                           \
        type *dx, REAL *sum, const type *dy, const type *x, const float *n, const REAL *theta,   \
        uint64_t stride, uint64_t step, REAL sharpness, uint64_t count, int logistic) {          \
        const NAME(cyd_law_) law = {theta, stride, step, sharpness};                             \
        if (logistic) cyd_noise_back_words_##name(dx, sum, dy, x, n, law, count, 1);             \
        else cyd_noise_back_words_##name(dx, sum, dy, x, n, law, count, 0);                      \
    }
