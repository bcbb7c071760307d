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

/* Element at & 15 of a table. */
CYD_INLINE cyd_f32v cyd_lookup_f32v(const float *table, cyd_i32v at) {
#if CYD_BYTES == 64
    return (cyd_f32v)_mm512_permutexvar_ps((__m512i)at, _mm512_loadu_ps(table));
#elif CYD_BYTES == 32
    const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), (__m256i)at);
    const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), (__m256i)at);
    return (cyd_f32v)_mm256_blendv_ps(low, high, (__m256)(at << 28));
#else
    cyd_f32v r;
    for (int i = 0; i < CYD_L32; i++) r[i] = table[at[i] & 15];
    return r;
#endif
}

/* The normal quantile's g(w), as said below, far out: w = -log(4 p (1 - p)), a polynomial in sqrt(w),
 * fitted to 2e-6 of 3 to 6. */
CYD_INLINE cyd_f32v cyd_normal_far_f32v(cyd_f32v p) {
    const cyd_f32v zero = {0};
    const cyd_f32v w = zero - cyd_log_f32v(4 * p * (1 - p));
    static const float far[] = {
        -2.8866209e-05f, -2.4990914e-04f, 1.0078214e-03f, -1.4906532e-03f, 1.8864291e-03f,
        -3.4098656e-03f, 5.4364362e-03f, 1.4238120e+00f, 4.6014715e+00f};
    return cyd_polynomial(far, cyd_sqrt_f32v(w) - 3.4188220f);
}

/* The quantile of the standard normal distribution at u = (word + 1/2) / 2**32.
 *
 * With p the smaller of the two tails and x = 1 - 2 p, it is +-x g. Down to p = 2**-9 each half of a
 * binade of p has a polynomial of its own for g, fitted to 1e-7; beyond, g is one of log(p). */
CYD_INLINE cyd_f32v cyd_normal_f32v(cyd_u32v word) {
    static const float table[6][16] = { /* highest power first, by the last bits of p's exponent */
        {-0.020461252f, -0.0037929125f, -0.02155884f, -0.0039989692f, -0.022744317f,
         -0.0042151702f, -0.023955399f, -0.004422673f, -0.025071276f, -0.0045840158f,
         -0.025725327f, -0.0036150492f, -0.018587237f, -0.0034357344f, -0.019471278f,
         -0.0036046507f},
        {0.032009631f, 0.0083815679f, 0.033729129f, 0.0088340826f, 0.03553037f, 0.0092907753f,
         0.037250128f, 0.0096933935f, 0.038605064f, 0.0099894265f, 0.040523082f, 0.013396698f,
         0.029024545f, 0.0075798929f, 0.030436972f, 0.0079605896f},
        {-0.05257035f, -0.019662032f, -0.055380318f, -0.020698247f, -0.058184024f,
         -0.021673558f, -0.060573649f, -0.022376629f, -0.061640561f, -0.022179641f,
         -0.056066837f, -0.011865084f, -0.047553644f, -0.017751498f, -0.049940143f,
         -0.018666027f},
        {0.10236385f, 0.053522695f, 0.10750823f, 0.056068499f, 0.11215781f, 0.058185976f,
         0.11561645f, 0.059617724f, 0.11822675f, 0.061801441f, 0.13129854f, 0.086367205f,
         0.092498131f, 0.048358258f, 0.097266234f, 0.050884191f},
        {-0.26726785f, -0.19327977f, -0.2728231f, -0.19520323f, -0.27147704f, -0.19069329f,
         -0.2583473f, -0.17532036f, -0.22477894f, -0.13950586f, -0.14523962f, -0.041731026f,
         -0.24727789f, -0.18043101f, -0.25804925f, -0.18773255f},
        {2.3817518f, 2.2686074f, 2.1474113f, 2.0325034f, 1.9109646f, 1.7976238f, 1.6803523f,
         1.5742192f, 1.4690768f, 1.3803054f, 1.3034039f, 1.2584854f, 2.828476f, 2.7233493f,
         2.609503f, 2.4999499f}};
    const cyd_i32v upper = (cyd_i32v)word >> 31; /* all ones in the upper half */
    const cyd_i32v tail = (cyd_i32v)word ^ upper; /* the smaller of word and ~word */
    const cyd_f32v p = __builtin_convertvector(tail, cyd_f32v) + 0.5f; /* times 2**32 */
    const cyd_f32v x =
        (__builtin_convertvector(0x7fffffff - tail, cyd_f32v) + 0.5f) * 0x1p-31f;
    cyd_i32v bits = (cyd_i32v)p;
    /* Rounded up to 2**31, the largest p would be in the next binade. */
    bits += bits >> 23 == 127 + 31;
    const cyd_i32v at = bits >> 22;
    const cyd_f32v t = (cyd_f32v)((bits & 0x3fffff) | 0x3f800000) - 1.25f;
    cyd_f32v g = cyd_lookup_f32v(table[0], at);
#pragma GCC unroll 5
    for (int k = 1; k < 6; k++) g = g * t + cyd_lookup_f32v(table[k], at);
    const cyd_i32v beyond = tail < 1 << 23;
    /* One vector of 16 in 17 has an element there. */
    if (cyd_any_lane(beyond)) {
        const cyd_i32v far = (cyd_i32v)cyd_normal_far_f32v(p * 0x1p-32f);
        g = (cyd_f32v)(((cyd_i32v)g & ~beyond) | (far & beyond));
    }
    return (cyd_f32v)((cyd_i32v)(x * g) ^ (~upper & INT32_MIN));
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

CYD_INLINE void cyd_variates_of(float *v, uint64_t count, const int logistic) {
    for (uint64_t k = 0; k < count; k += CYD_L32) {
        cyd_u32v word;
        CYD_LOAD(word, v + k);
        const cyd_f32v n = logistic ? cyd_logistic_f32v(word) : cyd_normal_f32v(word);
        CYD_STORE(v + k, n);
    }
}

/* One variate for each of the 64 words of some chunks: 16 Philox blocks each. */
static void cyd_variates(uint64_t key, uint64_t draw, uint64_t first, uint64_t chunks, int logistic,
                         float *v) {
    const uint64_t words = 4 * CYD_TILE_BLOCKS;
    /* Apart from what is made of them, so that neither waits for the other. */
    for (uint64_t c = 0; c < chunks; c++) {
        cyd_digit(key, draw, first + c, 0, (uint32_t *)v + words * c);
    }
    if (logistic) cyd_variates_of(v, words * chunks, 1);
    else cyd_variates_of(v, words * chunks, 0);
}

#endif
