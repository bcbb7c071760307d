/* Philox4x32-10 over vectors: one 32-bit word per 64-bit lane, whose upper half is ignored. */
#ifndef CYDROPOUT_PHILOX_H
#define CYDROPOUT_PHILOX_H

#include "simd/vectors.h"

#define CYD_TILE_BLOCKS 16
#define CYD_GROUPS (CYD_TILE_BLOCKS / CYD_L64)
#define CYD_FLIGHT 2 /* groups in step, for the latency of the multiplications */
#define CYD_M0 0xD2511F53u
#define CYD_M1 0xCD9E8D57u
#define CYD_W0 0x9E3779B9u
#define CYD_W1 0xBB67AE85u

/* GCC does not turn (a & mask) * (b & mask) into the one instruction that x86 has for it. */
CYD_INLINE cyd_u64v cyd_mul32(cyd_u64v a, uint32_t m) {
#if CYD_BYTES == 64
    return (cyd_u64v)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(m));
#elif CYD_BYTES == 32
    return (cyd_u64v)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(m));
#elif defined(__SSE2__)
    return (cyd_u64v)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(m));
#else
    return (a & 0xffffffffu) * cyd_splat64(m);
#endif
}

/* The 16 blocks of a tile. Rounds 1 to 3 mostly do not depend on the digit: that part is kept. */
typedef struct {
    cyd_u64v n2[CYD_GROUPS], c0[CYD_GROUPS], c2[CYD_GROUPS], c3[CYD_GROUPS];
    uint32_t k0, k1, high, draw_high, mul_low, mul_high;
} cyd_tile_t;

CYD_INLINE void cyd_tile_begin(cyd_tile_t *t, uint64_t key, uint64_t draw, uint64_t tile) {
    const uint64_t block = tile * CYD_TILE_BLOCKS;
    const uint64_t p1 = (uint64_t)CYD_M1 * (uint32_t)draw;
    t->k0 = (uint32_t)key;
    t->k1 = (uint32_t)(key >> 32);
    t->high = (uint32_t)(block >> 32) * 32;
    t->draw_high = (uint32_t)(draw >> 32);
    t->mul_low = (uint32_t)p1;
    t->mul_high = (uint32_t)(p1 >> 32);
    cyd_u64v lane;
    for (int i = 0; i < CYD_L64; i++) lane[i] = i;
    for (int g = 0; g < CYD_GROUPS; g++) {
        /* Within a tile, 32 bits do not carry. */
        const cyd_u64v b = lane + ((uint64_t)(uint32_t)block + g * CYD_L64);
        const cyd_u64v p0 = cyd_mul32(b, CYD_M0);
        const cyd_u64v r2 = (p0 >> 32) ^ (uint64_t)(t->draw_high ^ t->k1);
        const cyd_u64v q1 = cyd_mul32(r2, CYD_M1);
        const cyd_u64v m0 = (q1 >> 32) ^ (uint64_t)(t->mul_low ^ (t->k0 + CYD_W0));
        const cyd_u64v s0 = cyd_mul32(m0, CYD_M0);
        t->n2[g] = p0 ^ (uint64_t)(t->k1 + CYD_W1);
        t->c0[g] = q1 ^ (uint64_t)(t->k0 + 2 * CYD_W0);
        t->c2[g] = (s0 >> 32) ^ (uint64_t)(t->k1 + 2 * CYD_W1);
        t->c3[g] = s0;
    }
}

/* Digits j and on of CYD_FLIGHT groups from g on, all in step: words (0, 1) of the blocks of one in
 * the 64-bit lanes of u[0], words (2, 3) in u[1], and so on, digit after digit. */
#define CYD_DEFINE_DIGITS(name, digits)                                                            \
    CYD_INLINE void name(const cyd_tile_t *t, int g, uint32_t j, cyd_u64v *u) {                    \
        enum { CHAINS = (digits) * CYD_FLIGHT };                                                   \
        cyd_u64v c0[CHAINS], c1[CHAINS], c2[CHAINS], c3[CHAINS];                                   \
        uint32_t k0 = t->k0 + 3 * CYD_W0, k1 = t->k1 + 3 * CYD_W1;                                 \
        for (int i = 0; i < CHAINS; i++) {                                                         \
            const int h = g + i % CYD_FLIGHT;                                                      \
            const uint32_t digit = t->high + j + i / CYD_FLIGHT;                                   \
            const uint64_t r2 = (uint64_t)CYD_M0 * (uint32_t)(t->mul_high ^ digit ^ t->k0);        \
            c1[i] = cyd_mul32(t->n2[h] ^ (r2 >> 32), CYD_M1);                                      \
            c0[i] = (c1[i] >> 32) ^ t->c0[h];                                                      \
            c2[i] = t->c2[h] ^ (uint64_t)(uint32_t)r2;                                             \
            c3[i] = t->c3[h];                                                                      \
        }                                                                                          \
        CYD_UNROLL(7)                                                                              \
        for (int r = 3; r < 10; r++, k0 += CYD_W0, k1 += CYD_W1) {                                 \
            cyd_u64v p0[CHAINS], p1[CHAINS];                                                       \
            for (int i = 0; i < CHAINS; i++) {                                                     \
                p0[i] = cyd_mul32(c0[i], CYD_M0);                                                  \
                p1[i] = cyd_mul32(c2[i], CYD_M1);                                                  \
            }                                                                                      \
            for (int i = 0; i < CHAINS; i++) {                                                     \
                c0[i] = (p1[i] >> 32) ^ c1[i] ^ (uint64_t)k0;                                      \
                c1[i] = p1[i];                                                                     \
                c2[i] = (p0[i] >> 32) ^ c3[i] ^ (uint64_t)k1;                                      \
                c3[i] = p0[i];                                                                     \
            }                                                                                      \
        }                                                                                          \
        for (int i = 0; i < CHAINS; i++) {                                                         \
            u[2 * i] = (c0[i] & 0xffffffffu) | (c1[i] << 32);                                      \
            u[2 * i + 1] = (c2[i] & 0xffffffffu) | (c3[i] << 32);                                  \
        }                                                                                          \
    }
#define CYD_UNROLL(n) _Pragma(CYD_TEXT(GCC unroll n))
#define CYD_TEXT(x) #x

CYD_DEFINE_DIGITS(cyd_tile_digit, 1)
#if CYD_BYTES == 64 /* there are registers for as many chains as hide the multiplications */
CYD_DEFINE_DIGITS(cyd_tile_two_digits, 2)
#endif

#if CYD_BYTES == 64
#define CYD_EVEN {0, 2, 4, 6, 8, 10, 12, 14}
#define CYD_ODD {1, 3, 5, 7, 9, 11, 13, 15}
#define CYD_LOW {0, 8, 1, 9, 2, 10, 3, 11}
#define CYD_HIGH {4, 12, 5, 13, 6, 14, 7, 15}
#elif CYD_BYTES == 32
#define CYD_EVEN {0, 2, 4, 6}
#define CYD_ODD {1, 3, 5, 7}
#define CYD_LOW {0, 4, 1, 5}
#define CYD_HIGH {2, 6, 3, 7}
#else
#define CYD_EVEN {0, 2}
#define CYD_ODD {1, 3}
#define CYD_LOW {0, 2}
#define CYD_HIGH {1, 3}
#endif
#if defined(__clang__)
#define CYD_PICK(x, y, ...) CYD_PICK_(x, y, __VA_ARGS__)
CYD_INLINE cyd_u64v CYD_PICK_(cyd_u64v x, cyd_u64v y, const cyd_u64v at) {
    cyd_u64v r;
    for (int i = 0; i < CYD_L64; i++) r[i] = at[i] < CYD_L64 ? x[at[i]] : y[at[i] - CYD_L64];
    return r;
}
#else
#define CYD_PICK(x, y, at) __builtin_shuffle(x, y, at)
#endif

/* The words of a group, block by block, of which a has (0, 1) and b (2, 3). */
CYD_INLINE void cyd_store_group(uint32_t *words, cyd_u64v a, cyd_u64v b) {
    const cyd_u64v low = CYD_LOW, high = CYD_HIGH;
    const cyd_u64v x = CYD_PICK(a, b, low), y = CYD_PICK(a, b, high);
    CYD_STORE(words, x);
    CYD_STORE(words + 2 * CYD_L64, y);
}

/* Digit j of the 16 blocks of a tile, as 64 words. */
CYD_INLINE void cyd_digit(uint64_t key, uint64_t draw, uint64_t tile, uint32_t j, uint32_t *words) {
    cyd_tile_t t;
    cyd_tile_begin(&t, key, draw, tile);
    cyd_u64v u[2 * CYD_GROUPS];
    for (int g = 0; g < CYD_GROUPS; g += CYD_FLIGHT) cyd_tile_digit(&t, g, j, u + 2 * g);
    for (int g = 0; g < CYD_GROUPS; g++) {
        cyd_store_group(words + g * 4 * CYD_L64, u[2 * g], u[2 * g + 1]);
    }
}

CYD_INLINE int cyd_any(const cyd_u64v *eq) {
    cyd_u64v all = eq[0];
    for (int g = 1; g < 2 * CYD_GROUPS; g++) all |= eq[g];
#if CYD_BYTES == 64
    return _mm512_test_epi64_mask((__m512i)all, (__m512i)all) != 0;
#elif CYD_BYTES == 32
    return !_mm256_testz_si256((__m256i)all, (__m256i)all);
#else
    return (all[0] | all[1]) != 0;
#endif
}

/* One vector of 32-bit words that begins `shift` bits into `p`; reads one word more. */
CYD_INLINE cyd_u64v cyd_load_bits(const uint32_t *p, int shift) {
    cyd_u32v x, next;
    CYD_LOAD(x, p);
    if (shift) {
        CYD_LOAD(next, p + 1);
        x = (x >> shift) | (next << (32 - shift));
    }
    return (cyd_u64v)x;
}

/* Whether u < q for the 2048 elements of a tile, as 64 words of keep-bits. The elements share
 * the scalar q < 2**32, or each has its own: then `own` is where the tile begins in the first of
 * 33 rows of bits, `own_stride` words apart: the 32 digits of q, and whether q is 2**32.
 * It stops at the first digit that leaves no element undecided. */
CYD_INLINE void cyd_tile_keep(uint64_t key, uint64_t draw, uint64_t tile, uint64_t q, int digits,
                              const uint32_t *own, uint64_t own_stride, int own_shift,
                              uint32_t *words) {
    const cyd_u64v even = CYD_EVEN, odd = CYD_ODD, low = CYD_LOW, high = CYD_HIGH;
    cyd_u64v less[2 * CYD_GROUPS], equal[2 * CYD_GROUPS];
    cyd_tile_t t;
    for (int g = 0; g < 2 * CYD_GROUPS; g++) {
        less[g] = cyd_splat64(0);
        equal[g] = cyd_splat64(~(uint64_t)0);
    }
    cyd_tile_begin(&t, key, draw, tile);
    cyd_u64v u[4 * CYD_GROUPS];
    int ahead = 0; /* digits in u that are not compared yet */
    for (int j = 0; j < digits; j++) {
        const cyd_u64v bit = cyd_splat64(-((q >> (31 - j)) & 1));
        const cyd_u64v *digit = u + 2 * CYD_GROUPS;
        if (ahead) {
            ahead = 0;
        } else {
            digit = u;
#if CYD_BYTES == 64
            if (digits - j > 1) {
                cyd_tile_two_digits(&t, 0, (uint32_t)j, u);
                ahead = 1;
            } else
#endif
                for (int g = 0; g < CYD_GROUPS; g += CYD_FLIGHT) {
                    cyd_tile_digit(&t, g, (uint32_t)j, u + 2 * g);
                }
        }
        for (int g = 0; g < CYD_GROUPS; g++) {
            cyd_u64v d[2] = {bit, bit};
            if (own) {
                const uint32_t *p = own + j * own_stride + g * 4 * CYD_L64;
                const cyd_u64v x = cyd_load_bits(p, own_shift);
                const cyd_u64v y = cyd_load_bits(p + 2 * CYD_L64, own_shift);
                d[0] = CYD_PICK(x, y, even);
                d[1] = CYD_PICK(x, y, odd);
            }
            for (int h = 2 * g; h < 2 * g + 2; h++) {
                less[h] |= equal[h] & d[h & 1] & ~digit[h];
                equal[h] &= ~(digit[h] ^ d[h & 1]);
            }
        }
        /* After fewer digits some element of 2048 is undecided, practically always. */
        if (j >= 8 && !cyd_any(equal)) break;
    }
    for (int g = 0; g < CYD_GROUPS; g++) {
        cyd_u64v x = CYD_PICK(less[2 * g], less[2 * g + 1], low);
        cyd_u64v y = CYD_PICK(less[2 * g], less[2 * g + 1], high);
        if (own) {
            const uint32_t *p = own + 32 * own_stride + g * 4 * CYD_L64;
            x |= cyd_load_bits(p, own_shift);
            y |= cyd_load_bits(p + 2 * CYD_L64, own_shift);
        }
        CYD_STORE(words + g * 4 * CYD_L64, x);
        CYD_STORE(words + g * 4 * CYD_L64 + 2 * CYD_L64, y);
    }
}

#endif
