/* Continuous noise: random words to standard normal and standard logistic numbers. */
#ifndef CYDROPOUT_VARIATES_H
#define CYDROPOUT_VARIATES_H

#include "half.h"
#include "philox.h"

/* Natural logarithm of normal positive floats, to 1e-7. */
CYD_INLINE cyd_f32v cyd_log_f32v(cyd_f32v x) {
    const cyd_i32v bits = (cyd_i32v)x;
    /* The exponent that leaves a mantissa between sqrt(1/2) and sqrt(2). */
    const cyd_i32v exponent = (bits - 0x3f3504f3) >> 23;
    const cyd_f32v m = (cyd_f32v)(bits - (exponent << 23));
    const cyd_f32v s = (m - 1) / (m + 1), s2 = s * s;
    const cyd_f32v series =
        2 + s2 * (0.66666667f + s2 * (0.4f + s2 * (0.28571429f + s2 * 0.2222222f)));
    const cyd_f32v e = __builtin_convertvector(exponent, cyd_f32v);
    return e * 0x1.62ep-1f + (e * 0x1.0bfbe8p-15f + s * series);
}

/* Square root of positive floats; a hardware instruction, exact, on every build. */
CYD_INLINE cyd_f32v cyd_sqrt_f32v(cyd_f32v x) {
#if CYD_BYTES == 64
    return (cyd_f32v)_mm512_sqrt_ps((__m512)x);
#elif CYD_BYTES == 32
    return (cyd_f32v)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
    return (cyd_f32v)_mm_sqrt_ps((__m128)x);
#else
    for (int i = 0; i < CYD_L32; i++) x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}

CYD_INLINE int cyd_any_lane(cyd_i32v where) {
#if CYD_BYTES == 64
    return _mm512_test_epi32_mask((__m512i)where, (__m512i)where) != 0;
#elif CYD_BYTES == 32
    return !_mm256_testz_si256((__m256i)where, (__m256i)where);
#else
    return (where[0] | where[1] | where[2] | where[3]) != 0;
#endif
}

/* Of degree 8, highest power first; even and odd powers apart, for two short chains. */
CYD_INLINE cyd_f32v cyd_polynomial(const float *c, cyd_f32v t) {
    const cyd_f32v t2 = t * t;
    const cyd_f32v even = (((c[0] * t2 + c[2]) * t2 + c[4]) * t2 + c[6]) * t2 + c[8];
    const cyd_f32v odd = ((c[1] * t2 + c[3]) * t2 + c[5]) * t2 + c[7];
    return even + odd * t;
}

/* The quantile of the standard normal distribution at (word + 1/2) / 2**32.
 *
 * With p the smaller of the two tails and x = 1 - 2 p, it is +-x g(w), where w = -log(4 p (1 - p))
 * and g is smooth: one polynomial in w where w < 5 and one in sqrt(w) beyond, fitted to 6e-7. */
CYD_INLINE cyd_f32v cyd_normal_f32v(cyd_u32v word) {
    const cyd_f32v zero = {0};
    const cyd_i32v upper = (cyd_i32v)word >> 31; /* all ones in the upper half */
    const cyd_i32v tail = (cyd_i32v)word ^ upper; /* the smaller of word and ~word */
    const cyd_f32v p = (__builtin_convertvector(tail, cyd_f32v) + 0.5f) * 0x1p-32f;
    const cyd_f32v x =
        (__builtin_convertvector(0x7fffffff - tail, cyd_f32v) + 0.5f) * 0x1p-31f;
    const cyd_f32v w = zero - cyd_log_f32v(4 * p * (1 - p));
    static const float central[] = {
        3.2931158e-08f, 4.8440330e-07f, -4.8979254e-06f, -6.1993915e-06f, 3.0878917e-04f,
        -1.7730683e-03f, -5.9077213e-03f, 3.4880272e-01f, 2.1233134f};
    static const float far[] = {
        6.2590780e-06f, -2.5021404e-04f, 8.1512611e-04f, -1.2003629e-03f, 1.5984169e-03f,
        -3.0205380e-03f, 4.8846537e-03f, 1.4243785f, 4.6798773f};
    cyd_i32v g = (cyd_i32v)cyd_polynomial(central, w - 2.5f);
    const cyd_i32v beyond = w >= zero + 5;
    /* One vector of 16 in 19 has an element there. */
    if (cyd_any_lane(beyond)) {
        const cyd_i32v b = (cyd_i32v)cyd_polynomial(far, cyd_sqrt_f32v(w) - 3.4738778f);
        g = (g & ~beyond) | (b & beyond);
    }
    return (cyd_f32v)((cyd_i32v)(x * (cyd_f32v)g) ^ (~upper & INT32_MIN));
}

/* The quantile of the standard logistic distribution, log(u / (1 - u)) at u = (word + 1/2) / 2**32.
 *
 * With p the smaller of the two tails, log(p / (1 - p)) = e log 2 + 2 atanh((p - d) / (p + d)), where
 * d = 2**e (1 - p): one division for both logarithms. */
CYD_INLINE cyd_f32v cyd_logistic_f32v(cyd_u32v word) {
    const cyd_i32v upper = (cyd_i32v)word >> 31;
    const cyd_i32v tail = (cyd_i32v)word ^ upper;
    const cyd_f32v p = (__builtin_convertvector(tail, cyd_f32v) + 0.5f) * 0x1p-32f;
    const cyd_f32v q = 1 - p;
    /* The difference of the bits is about that of the logarithms: 2**e leaves a ratio near 1. */
    const cyd_i32v e = ((cyd_i32v)p - (cyd_i32v)q + (1 << 22)) >> 23;
    const cyd_f32v d = (cyd_f32v)((cyd_i32v)q + (e << 23));
    const cyd_f32v s = (p - d) / (p + d), s2 = s * s;
    const cyd_f32v series =
        2 + s2 * (0.66666667f + s2 * (0.4f + s2 * (0.28571429f + s2 * 0.2222222f)));
    const cyd_f32v f = __builtin_convertvector(e, cyd_f32v);
    const cyd_f32v y = f * 0x1.62ep-1f + (f * 0x1.0bfbe8p-15f + s * series);
    return (cyd_f32v)((cyd_i32v)y ^ (upper & INT32_MIN));
}

/* One variate for each of the 64 words of a chunk: 16 Philox blocks. */
static void cyd_variates(uint64_t key, uint64_t draw, uint64_t chunk, int logistic, float *v) {
    uint32_t words[4 * CYD_TILE_BLOCKS];
    cyd_digit(key, draw, chunk, 0, words);
    for (int k = 0; k < 4 * CYD_TILE_BLOCKS; k += CYD_L32) {
        cyd_u32v word;
        CYD_LOAD(word, words + k);
        const cyd_f32v n = logistic ? cyd_logistic_f32v(word) : cyd_normal_f32v(word);
        CYD_STORE(v + k, n);
    }
}

#endif
