/* Continuous noise: random words to standard normal and standard logistic numbers. */
#ifndef CYDROPOUT_VARIATES_H
#define CYDROPOUT_VARIATES_H

#include "simd/half.h"
#include "simd/philox.h"

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

CYD_INLINE cyd_i32v cyd_least_i32v(cyd_i32v a, cyd_i32v b) {
#if CYD_BYTES == 64
    return (cyd_i32v)_mm512_min_epi32((__m512i)a, (__m512i)b);
#elif CYD_BYTES == 32
    return (cyd_i32v)_mm256_min_epi32((__m256i)a, (__m256i)b);
#else
    const cyd_i32v where = a < b;
    return (a & where) | (b & ~where);
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

/* A word as the smaller of the two tails: p = (tail + 1/2) / 2**32, x = 1 - 2 p. */
typedef struct {
    cyd_i32v upper; /* all ones in the upper half */
    cyd_i32v tail;  /* the smaller of word and ~word */
    cyd_f32v p;     /* times 2**32 */
    cyd_f32v x;
} cyd_tail_t;

CYD_INLINE cyd_tail_t cyd_tail_of(cyd_u32v word) {
    cyd_tail_t t;
    t.upper = (cyd_i32v)word >> 31;
    t.tail = (cyd_i32v)word ^ t.upper;
    t.p = __builtin_convertvector(t.tail, cyd_f32v) + 0.5f;
    t.x = (__builtin_convertvector(0x7fffffff - t.tail, cyd_f32v) + 0.5f) * 0x1p-31f;
    return t;
}

CYD_INLINE cyd_f32v cyd_signed(cyd_f32v x, cyd_tail_t t) {
    return (cyd_f32v)((cyd_i32v)x ^ (~t.upper & INT32_MIN));
}

/* The quantile of the standard normal distribution at u = (word + 1/2) / 2**32 is +-x g(p).
 *
 * Down to p = 2**-9 each half of a binade of p has a polynomial of its own for g, fitted to 1e-7.
 * Beyond, g is a polynomial in sqrt(w) with w = -log(4 p (1 - p)), fitted to 2e-6 of 3 to 6. */
CYD_INLINE cyd_f32v cyd_normal_far_f32v(cyd_u32v word) {
    static const float far[] = {
        -2.8866209e-05f, -2.4990914e-04f, 1.0078214e-03f, -1.4906532e-03f, 1.8864291e-03f,
        -3.4098656e-03f, 5.4364362e-03f, 1.4238120e+00f, 4.6014715e+00f};
    const cyd_tail_t tail = cyd_tail_of(word);
    const cyd_f32v zero = {0}, p = tail.p * 0x1p-32f;
    const cyd_f32v w = zero - cyd_log_f32v(4 * p * (1 - p));
    return cyd_signed(tail.x * cyd_polynomial(far, cyd_sqrt_f32v(w) - 3.4188220f), tail);
}

/* Sets the bits of lanes that are far out, where the result does not count. */
CYD_INLINE cyd_f32v cyd_normal_f32v(cyd_u32v word, uint32_t *far) {
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
    const cyd_tail_t tail = cyd_tail_of(word);
    const cyd_i32v zero = {0};
    /* Rounded up to 2**31, the largest p would be in the next binade. */
    const cyd_i32v bits = cyd_least_i32v((cyd_i32v)tail.p, zero + 0x4effffff);
    const cyd_i32v at = bits >> 22;
    const cyd_f32v t = (cyd_f32v)((bits & 0x3fffff) | 0x3f800000) - 1.25f;
    cyd_f32v g = cyd_lookup_f32v(table[0], at);
#pragma GCC unroll 5
    for (int k = 1; k < 6; k++) g = g * t + cyd_lookup_f32v(table[k], at);
    *far = cyd_bits_f32v(tail.tail < 1 << 23);
    return cyd_signed(tail.x * g, tail);
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

#define CYD_CHUNK (4 * CYD_TILE_BLOCKS) /* words */
#define CYD_CHUNKS 33                   /* hold a tile of 2048 elements, wherever it begins */

/* Adds the places of the bits, the first of which is `first`, to a list of `count`. */
CYD_INLINE uint64_t cyd_list(uint16_t *list, uint64_t count, uint64_t bits, uint64_t first) {
    const uint64_t last = (uint64_t)1 << 63;
    const int more = __builtin_popcountll(bits);
    /* There are seldom more than two, and without a branch two cost less than the right number. */
    for (int i = 0; i < 2 || __builtin_expect(i < more, 0); i++, bits &= bits - 1) {
        list[count + i] = (uint16_t)(first + __builtin_ctzll(bits | last));
    }
    return count + more;
}

/* What is far out, one element in 256, comes last: to ask for it at each vector costs more than the
 * rest of it. */
CYD_INLINE void cyd_normals(float *v, const uint32_t *words, uint64_t count) {
    uint16_t list[CYD_CHUNKS * CYD_CHUNK + 2];
    uint64_t listed = 0;
    for (uint64_t i = 0; i < count; i += CYD_CHUNK) {
        uint64_t beyond = 0;
#pragma GCC unroll 16
        for (int k = 0; k < CYD_CHUNK; k += CYD_L32) {
            cyd_u32v word;
            uint32_t far;
            CYD_LOAD(word, words + i + k);
            const cyd_f32v n = cyd_normal_f32v(word, &far);
            beyond |= (uint64_t)far << k;
            CYD_STORE(v + i + k, n);
        }
        listed = cyd_list(list, listed, beyond, i);
    }
    for (uint64_t i = 0; i < listed; i += CYD_L32) {
        const uint64_t some = listed - i < CYD_L32 ? listed - i : CYD_L32;
        cyd_u32v word = {0};
        for (uint64_t k = 0; k < some; k++) word[k] = words[list[i + k]];
        const cyd_f32v n = cyd_normal_far_f32v(word);
        for (uint64_t k = 0; k < some; k++) v[list[i + k]] = n[k];
    }
}

CYD_INLINE void cyd_logistics(float *v, const uint32_t *words, uint64_t count) {
    for (uint64_t k = 0; k < count; k += CYD_L32) {
        cyd_u32v word;
        CYD_LOAD(word, words + k);
        const cyd_f32v n = cyd_logistic_f32v(word);
        CYD_STORE(v + k, n);
    }
}

/* One variate for each of the 64 words of up to 33 chunks: 16 Philox blocks each. */
static void cyd_variates(uint64_t key, uint64_t draw, uint64_t first, uint64_t chunks, int logistic,
                         float *v) {
    uint32_t words[CYD_CHUNKS * CYD_CHUNK];
    /* Apart from what is made of them, so that neither waits for the other. */
    for (uint64_t c = 0; c < chunks; c++) cyd_digit(key, draw, first + c, 0, words + CYD_CHUNK * c);
    if (logistic) cyd_logistics(v, words, CYD_CHUNK * chunks);
    else cyd_normals(v, words, CYD_CHUNK * chunks);
}

#endif
