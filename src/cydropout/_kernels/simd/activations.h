/* Activations and their derivatives over vector lanes, for one float type; vectors.h comes first.
 *
 * Included twice, after the macros from REAL to LN2_LOW that simd.h defines for each type. No fused multiply-add and
 * no library call that differs between builds, so that all builds agree to the bit.
 */

typedef NAME(cyd_integer_) NAME(cyd_int_);

CYD_INLINE VECTOR NAME(cyd_choose_)(NAME(cyd_int_) where, VECTOR yes, VECTOR no) {
    return (VECTOR)(((NAME(cyd_int_))yes & where) | ((NAME(cyd_int_))no & ~where));
}

CYD_INLINE VECTOR NAME(cyd_abs_)(VECTOR x) { return (VECTOR)((NAME(cyd_int_))x & ~SIGN); }

static const REAL NAME(cyd_inverse_factorials_)[] = {
    1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
    1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800,
    1.0 / 87178291200
};

/* x = n ln 2 + r, within EXP_RANGE: returns exp(r) - 1 by its Taylor series, and 2**n. NaN goes
 * through. */
CYD_INLINE VECTOR NAME(cyd_expm1_near_)(VECTOR x, VECTOR *power) {
    const VECTOR zero = {0};
    const VECTOR shifted = x * (REAL)1.4426950408889634 + ROUNDER;
    const VECTOR n = shifted - ROUNDER;
    const VECTOR r = (x - n * LN2_HIGH) - n * LN2_LOW;
    VECTOR p = zero + NAME(cyd_inverse_factorials_)[EXP_TERMS];
#pragma GCC unroll 16
    for (int k = EXP_TERMS - 1; k > 0; k--) p = p * r + NAME(cyd_inverse_factorials_)[k];
    *power = (VECTOR)(((NAME(cyd_int_))shifted + EXP_BIAS) << MANTISSA);
    return p * r;
}

CYD_INLINE VECTOR NAME(cyd_expm1_parts_)(VECTOR x, VECTOR *power) {
    const VECTOR zero = {0};
    x = LESSER(zero + EXP_RANGE, GREATER(zero - EXP_RANGE, x));
    return NAME(cyd_expm1_near_)(x, power);
}

CYD_INLINE VECTOR NAME(cyd_exp_)(VECTOR x) {
    VECTOR power;
    const VECTOR p = NAME(cyd_expm1_parts_)(x, &power);
    return power * p + power;
}

/* exp(x) for x <= 0, and 0 where that is below the normal numbers. NaN goes through. */
CYD_INLINE VECTOR NAME(cyd_exp_down_)(VECTOR x) {
    const VECTOR zero = {0};
    VECTOR power;
    const VECTOR p = NAME(cyd_expm1_near_)(x, &power) + 1;
    return (VECTOR)((NAME(cyd_int_))(power * p) & ~(NAME(cyd_int_))(x < zero - EXP_RANGE));
}

CYD_INLINE VECTOR NAME(cyd_expm1_)(VECTOR x) {
    VECTOR power;
    const VECTOR p = NAME(cyd_expm1_parts_)(x, &power);
    return power * p + (power - 1);
}

/* log(1 + t) = 2 atanh(t / (2 + t)), for 0 <= t <= 1. */
CYD_INLINE VECTOR NAME(cyd_log1p_)(VECTOR t) {
    const VECTOR s = t / (t + 2), s2 = s * s;
    VECTOR p = s2 * 0 + (REAL)(1.0 / (2 * LOG_TERMS + 1));
#pragma GCC unroll 20
    for (int k = LOG_TERMS - 1; k >= 0; k--) p = p * s2 + (REAL)(1.0 / (2 * k + 1));
    return 2 * s * p;
}

CYD_INLINE VECTOR NAME(cyd_sigmoid_)(VECTOR x) { return 1 / (1 + NAME(cyd_exp_)(-x)); }

CYD_INLINE VECTOR NAME(cyd_tanh_)(VECTOR x) {
    const VECTOR zero = {0};
    VECTOR m = NAME(cyd_abs_)(x);
    m = NAME(cyd_choose_)(m > zero + 20, zero + 20, m);
    const VECTOR e = NAME(cyd_expm1_)(2 * m);
    const VECTOR y = e / (e + 2);
    return (VECTOR)((NAME(cyd_int_))y | ((NAME(cyd_int_))x & SIGN));
}

/* (1 - P(x)) / (t exp(-x^2 / 2)) for x >= 0 as a polynomial in 2 t - 1, ascending: its expansion in
 * Chebyshev polynomials, cut off where the rest is below the rounding. */
static const REAL NAME(cyd_tails_)[] = {TAILS};

/* P(x), the normal distribution function, with t = 1 / (1 + |x| / sqrt(8)); and the bell,
 * exp(-x^2 / 2). */
CYD_INLINE VECTOR NAME(cyd_normal_cdf_)(VECTOR x, VECTOR *bell) {
    const VECTOR zero = {0};
    const int terms = sizeof(NAME(cyd_tails_)) / sizeof(REAL);
    const VECTOR t = 1 / (1 + (REAL)0.35355339059327376 * NAME(cyd_abs_)(x)), at = 2 * t - 1;
    VECTOR p = zero + NAME(cyd_tails_)[terms - 1];
#pragma GCC unroll 32
    for (int k = terms - 2; k >= 0; k--) p = p * at + NAME(cyd_tails_)[k];
    *bell = NAME(cyd_exp_down_)((REAL)-0.5 * x * x);
    p = *bell * t * p;
    return NAME(cyd_choose_)(x > zero, 1 - p, p);
}

CYD_INLINE VECTOR NAME(cyd_activate_)(VECTOR z, int kind, REAL a) {
    const VECTOR zero = {0};
    VECTOR bell;
    switch (kind) {
    case CYD_RELU: return NAME(cyd_choose_)(z <= zero, zero, z);
    case CYD_SIGMOID: return NAME(cyd_sigmoid_)(z);
    case CYD_TANH: return NAME(cyd_tanh_)(z);
    case CYD_SOFTPLUS:
        return NAME(cyd_choose_)(z <= zero, zero, z) +
               NAME(cyd_log1p_)(NAME(cyd_exp_)(-NAME(cyd_abs_)(a * z))) / a;
    case CYD_SELU:
        return (REAL)CYD_SELU_SCALE *
               NAME(cyd_choose_)(z > zero, z, (REAL)CYD_SELU_ALPHA * NAME(cyd_expm1_)(z));
    case CYD_GELU: return z * NAME(cyd_normal_cdf_)(z, &bell);
    default: return z;
    }
}

CYD_INLINE VECTOR NAME(cyd_derivative_)(VECTOR z, int kind, REAL a) {
    const VECTOR zero = {0}, one = zero + 1;
    VECTOR y, bell;
    switch (kind) {
    case CYD_RELU: return NAME(cyd_choose_)(z <= zero, zero, one);
    case CYD_SIGMOID: y = NAME(cyd_sigmoid_)(z); return y * (1 - y);
    case CYD_TANH: y = NAME(cyd_tanh_)(z); return 1 - y * y;
    case CYD_SOFTPLUS: return NAME(cyd_sigmoid_)(a * z);
    case CYD_SELU:
        return (REAL)CYD_SELU_SCALE *
               NAME(cyd_choose_)(z > zero, one, (REAL)CYD_SELU_ALPHA * NAME(cyd_exp_)(z));
    case CYD_GELU:
        y = NAME(cyd_normal_cdf_)(z, &bell);
        return y + z * ((REAL)0.39894228040143268 * bell);
    default: return one;
    }
}

/* What a pass over `count` words of 32 elements is given; `step` is 32 where scales differ, or 0. */
typedef struct {
    const REAL *bias, *scale;
    uint64_t step;
    const uint32_t *words;
    uint64_t count;
    REAL a;
} NAME(cyd_pass_);

CYD_INLINE void NAME(cyd_forward_words_)(REAL *y, const REAL *z, const NAME(cyd_pass_) p,
                                         const int kind) {
    for (uint64_t word = 0; word < p.count; word++) {
        const uint32_t bits = p.words[word];
        for (int k = 0; k < 32; k += LANES) {
            VECTOR v, b, s;
            CYD_LOAD(v, z + 32 * word + k);
            CYD_WHOLE(v);
            CYD_LOAD(b, p.bias + 32 * word + k);
            CYD_LOAD(s, p.scale + p.step * word + k);
            v = KEEP(NAME(cyd_activate_)(v + b, kind, p.a) * s, bits, k);
            CYD_STORE(y + 32 * word + k, v);
        }
    }
}

CYD_INLINE void NAME(cyd_backward_words_)(REAL *dz, REAL *sum, const REAL *dy, const REAL *z,
                                          const NAME(cyd_pass_) p, const int kind) {
    for (uint64_t word = 0; word < p.count; word++) {
        const uint32_t bits = p.words[word];
        for (int k = 0; k < 32; k += LANES) {
            VECTOR g, v, b, s, t;
            CYD_LOAD(g, dy + 32 * word + k);
            CYD_WHOLE(g);
            CYD_LOAD(v, z + 32 * word + k);
            CYD_WHOLE(v);
            CYD_LOAD(b, p.bias + 32 * word + k);
            CYD_LOAD(s, p.scale + p.step * word + k);
            CYD_LOAD(t, sum + 32 * word + k);
            g = g * s;
            if (kind == CYD_RELU) {
                const VECTOR at = v + b, zero = {0};
                g = NAME(cyd_choose_)(at <= zero, zero, g);
            } else if (kind != CYD_LINEAR) {
                /* No gradient stays none, also where the derivative is NaN: dropped elements are 0. */
                g = NAME(cyd_choose_)(g == 0, g, g * NAME(cyd_derivative_)(v + b, kind, p.a));
            }
            g = KEEP(g, bits, k);
            t = t + g;
            CYD_STORE(dz + 32 * word + k, g);
            CYD_STORE(sum + 32 * word + k, t);
        }
    }
}

/* One loop for each kind: to ask for it at every vector costs more than the pass. */
#define CYD_EACH_KIND(pass, ...)                                                                 \
    switch (kind) {                                                                              \
    case CYD_LINEAR: pass(__VA_ARGS__, CYD_LINEAR); break;                                       \
    case CYD_RELU: pass(__VA_ARGS__, CYD_RELU); break;                                           \
    case CYD_SIGMOID: pass(__VA_ARGS__, CYD_SIGMOID); break;                                     \
    case CYD_TANH: pass(__VA_ARGS__, CYD_TANH); break;                                           \
    case CYD_SOFTPLUS: pass(__VA_ARGS__, CYD_SOFTPLUS); break;                                   \
    case CYD_SELU: pass(__VA_ARGS__, CYD_SELU); break;                                           \
    case CYD_GELU: pass(__VA_ARGS__, CYD_GELU); break;                                           \
    }

/* y = scale * act(z + bias) where kept, else 0. */
static void NAME(cyd_forward_)(REAL *y, const REAL *z, const REAL *bias, const REAL *scale,
                               uint64_t step, const uint32_t *words, uint64_t count, int kind,
                               REAL a) {
    const NAME(cyd_pass_) p = {bias, scale, step, words, count, a};
    CYD_EACH_KIND(NAME(cyd_forward_words_), y, z, p)
}

/* dz = scale * dy * act'(z + bias) where kept, else 0; sum += dz. */
static void NAME(cyd_backward_)(REAL *dz, REAL *sum, const REAL *dy, const REAL *z,
                                const REAL *bias, const REAL *scale, uint64_t step,
                                const uint32_t *words, uint64_t count, int kind, REAL a) {
    const NAME(cyd_pass_) p = {bias, scale, step, words, count, a};
    CYD_EACH_KIND(NAME(cyd_backward_words_), dz, sum, dy, z, p)
}

#define cyd_forward(y, ...) CYD_REAL(cyd_forward, y)(y, __VA_ARGS__)
#define cyd_backward(y, ...) CYD_REAL(cyd_backward, y)(y, __VA_ARGS__)
