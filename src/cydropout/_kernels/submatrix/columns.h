/* Some columns of a row: picked to lie side by side, or put back to where they were. */
#ifndef CYDROPOUT_COLUMNS_H
#define CYDROPOUT_COLUMNS_H

#include "simd/vectors.h"

/* Columns at most, a whole number of vectors; their gradients stay in the nearest cache. */
#define CYD_STRETCH 1024

/* A bit for each column, set where it is taken. */
typedef struct {
    uint32_t words[CYD_STRETCH / 32];
} cyd_taken_t;

/* `index` has the numbers of the `taken` ones of the `count` columns from number `first` on. */
static void cyd_take_columns(cyd_taken_t *t, const int64_t *index, uint64_t first, uint64_t taken,
                             uint64_t count) {
    uint64_t i = 0;
    for (uint64_t word = 0; word * 32 < count; word++) {
        uint32_t bits = 0;
        for (; i < taken && ((uint64_t)index[i] - first) / 32 == word; i++)
            bits |= (uint32_t)1 << ((uint64_t)index[i] - first) % 32;
        t->words[word] = bits;
    }
}

/* `there` are the taken ones side by side. */
#if CYD_BYTES == 64
#define CYD_COLUMNS(suffix, real, LANES, mask, kind)                                               \
    /* there = scale * row. */                                                                     \
    static void cyd_pick_##suffix(real *there, const real *row, const cyd_taken_t *t,              \
                                  const int64_t *index, uint64_t first, uint64_t taken,            \
                                  uint64_t count, real scale) {                                    \
        uint64_t at = 0;                                                                           \
        (void)index, (void)first;                                                                  \
        for (uint64_t group = 0; group < count; group += LANES) {                                  \
            const mask own = (mask)(t->words[group / 32] >> group % 32);                           \
            const int some = __builtin_popcount(own);                                              \
            CYD_VECTOR(real) v;                                                                    \
            if (group + LANES <= count) {                                                          \
                CYD_LOAD(v, row + group);                                                          \
                CYD_WHOLE(v);                                                                      \
            } else {                                                                               \
                v = _mm512_maskz_loadu_##kind(own, row + group);                                   \
            }                                                                                      \
            v = _mm512_maskz_compress_##kind(own, v) * scale;                                      \
            if (at + LANES <= taken) {                                                             \
                CYD_STORE(there + at, v);                                                          \
            } else {                                                                               \
                _mm512_mask_storeu_##kind(there + at, (mask)((1 << some) - 1), v);                 \
            }                                                                                      \
            at += (uint64_t)some;                                                                  \
        }                                                                                          \
    }                                                                                              \
    /* row = there; other columns remain, or become 0, those up to a whole vector too. */          \
    static void cyd_put_##suffix(real *row, const real *there, const cyd_taken_t *t,               \
                                 const int64_t *index, uint64_t first, uint64_t taken,             \
                                 uint64_t count, int remain) {                                     \
        uint64_t at = 0;                                                                           \
        (void)index, (void)first;                                                                  \
        for (uint64_t group = 0; group < count; group += LANES) {                                  \
            const mask own = (mask)(t->words[group / 32] >> group % 32);                           \
            const int some = __builtin_popcount(own);                                              \
            CYD_VECTOR(real) v;                                                                    \
            if (at + LANES <= taken) {                                                             \
                CYD_LOAD(v, there + at);                                                           \
                CYD_WHOLE(v);                                                                      \
            } else {                                                                               \
                v = _mm512_maskz_loadu_##kind((mask)((1 << some) - 1), there + at);                \
            }                                                                                      \
            v = _mm512_maskz_expand_##kind(own, v);                                                \
            if (remain) {                                                                          \
                _mm512_mask_storeu_##kind(row + group, own, v);                                    \
            } else {                                                                               \
                CYD_STORE(row + group, v);                                                         \
            }                                                                                      \
            at += (uint64_t)some;                                                                  \
        }                                                                                          \
    }
#else
#define CYD_COLUMNS(suffix, real, LANES, mask, kind)                                               \
    static void cyd_pick_##suffix(real *there, const real *row, const cyd_taken_t *t,              \
                                  const int64_t *index, uint64_t first, uint64_t taken,            \
                                  uint64_t count, real scale) {                                    \
        (void)t, (void)count;                                                                      \
        for (uint64_t i = 0; i < taken; i++) there[i] = scale * row[(uint64_t)index[i] - first];   \
    }                                                                                              \
    static void cyd_put_##suffix(real *row, const real *there, const cyd_taken_t *t,               \
                                 const int64_t *index, uint64_t first, uint64_t taken,             \
                                 uint64_t count, int remain) {                                     \
        (void)t, (void)count, (void)remain;                                                        \
        for (uint64_t i = 0; i < taken; i++) row[(uint64_t)index[i] - first] = there[i];           \
    }
#endif
CYD_COLUMNS(f32, float, CYD_L32, __mmask16, ps)
CYD_COLUMNS(f64, double, CYD_L64, __mmask8, pd)

#define cyd_pick(there, ...) CYD_REAL(cyd_pick, there)(there, __VA_ARGS__)
#define cyd_put(row, ...) CYD_REAL(cyd_put, row)(row, __VA_ARGS__)

#endif
