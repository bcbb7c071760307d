/* Products of rows with a matrix whose every entry has a keep-bit of its own for each row, 32
 * columns at a time. The columns are padded to a multiple of 32; what the padding holds does not
 * matter.
 */
#ifndef CYDROPOUT_DROP_CONNECT_H
#define CYDROPOUT_DROP_CONNECT_H

#include "simd/vectors.h"

#define CYD_ABREAST 4 /* rows in one loop: y, or dw, is loaded and stored once for all of them */

/* 32 bits from bit `at` on; those past the `left` columns that there are count as dropped. */
CYD_INLINE uint32_t cyd_bits_within(const uint32_t *words, uint64_t at, uint64_t left) {
    if (left >= 32) return cyd_bits_at(words, at, 32);
    return cyd_bits_at(words, at, (int)left) & (((uint32_t)1 << left) - 1);
}

/* Calls with `rows`, CYD_ABREAST or 1, as a constant. */
#define CYD_EITHER(call, rows, ...)                                                              \
    if (rows == CYD_ABREAST) call(__VA_ARGS__, CYD_ABREAST);                                     \
    else call(__VA_ARGS__, 1)

/* cyd_connect: y[j] += the sum over i of x[i] * w[i, j] where kept, i ascending, for `rows` rows of
 * w that are `stride` apart, and whose bits are `units` apart.
 *
 * cyd_connect_back: for `rows` samples, dy's `stride` apart and x's and dx's `inputs` apart,
 * dw[j] += the sum over n of x[n] * dy[n, j] where kept, n ascending, and, if there is a dx,
 * dx[n] += the sum over j of w[j] * dy[n, j] where kept. That sum has 32 lanes in every build. */
#define CYD_DEFINE_CONNECT(name, type, vector, lanes, keep)                                      \
    CYD_INLINE void cyd_forth_##name(type *y, const type *x, const type *w, uint64_t stride,     \
                                     const uint32_t *words, uint64_t at, uint64_t units,         \
                                     uint64_t columns, const int rows) {                         \
        for (uint64_t j = 0; j < columns; j += 32) {                                             \
            uint32_t bits[CYD_ABREAST];                                                          \
            for (int i = 0; i < rows; i++) {                                                     \
                bits[i] = cyd_bits_within(words, at + i * units + j, columns - j);               \
            }                                                                                    \
            for (int k = 0; k < 32; k += lanes) {                                                \
                vector sum, v;                                                                   \
                CYD_LOAD(sum, y + j + k);                                                        \
                for (int i = 0; i < rows; i++) {                                                 \
                    CYD_LOAD(v, w + i * stride + j + k);                                         \
                    sum += keep(v * x[i], bits[i], k);                                           \
                }                                                                                \
                CYD_STORE(y + j + k, sum);                                                       \
            }                                                                                    \
        }                                                                                        \
    }                                                                                            \
    CYD_INLINE type cyd_fold_##name(vector *sum) {                                               \
        type part[lanes];                                                                        \
        for (int half = 16 / lanes; half; half /= 2) {                                           \
            for (int i = 0; i < half; i++) sum[i] += sum[i + half];                              \
        }                                                                                        \
        CYD_STORE(part, sum[0]);                                                                 \
        for (int half = lanes / 2; half; half /= 2) {                                            \
            for (int i = 0; i < half; i++) part[i] += part[i + half];                            \
        }                                                                                        \
        return part[0];                                                                          \
    }                                                                                            \
    CYD_INLINE void cyd_back_##name(                                                             \
        type *dw, type *dx, const type *dy, const type *x, const type *w, uint64_t stride,       \
        uint64_t inputs, const uint32_t **words, const uint64_t *at, uint64_t columns,           \
        const int rows) {                                                                        \
        vector sum[CYD_ABREAST][32 / lanes] = {{{0}}};                                           \
        type factor[CYD_ABREAST];                                                                \
        for (int n = 0; n < rows; n++) factor[n] = x[n * inputs];                                \
        for (uint64_t j = 0; j < columns; j += 32) {                                             \
            uint32_t bits[CYD_ABREAST];                                                          \
            for (int n = 0; n < rows; n++) {                                                     \
                bits[n] = cyd_bits_within(words[n], at[n] + j, columns - j);                     \
            }                                                                                    \
            for (int k = 0; k < 32; k += lanes) {                                                \
                vector gradient, weight, v;                                                         \
                CYD_LOAD(gradient, dw + j + k);                                                     \
                CYD_LOAD(weight, w + j + k);                                                     \
                for (int n = 0; n < rows; n++) {                                                 \
                    CYD_LOAD(v, dy + n * stride + j + k);                                        \
                    gradient += keep(v * factor[n], bits[n], k);                                    \
                    if (dx) sum[n][k / lanes] += keep(v * weight, bits[n], k);                   \
                }                                                                                \
                CYD_STORE(dw + j + k, gradient);                                                    \
            }                                                                                    \
        }                                                                                        \
        for (int n = 0; dx && n < rows; n++) dx[n * inputs] += cyd_fold_##name(sum[n]);          \
    }                                                                                            \
    CYD_INLINE void cyd_connect_##name(type *y, const type *x, const type *w, uint64_t stride,   \
                                       const uint32_t *words, uint64_t at, uint64_t units,       \
                                       uint64_t columns, int rows) {                             \
        CYD_EITHER(cyd_forth_##name, rows, y, x, w, stride, words, at, units, columns);          \
    }                                                                                            \
    CYD_INLINE void cyd_connect_back_##name(                                                     \
        type *dw, type *dx, const type *dy, const type *x, const type *w, uint64_t stride,       \
        uint64_t inputs, const uint32_t **words, const uint64_t *at, uint64_t columns,           \
        int rows) {                                                                              \
        CYD_EITHER(cyd_back_##name, rows, dw, dx, dy, x, w, stride, inputs, words, at, columns); \
    }
CYD_DEFINE_CONNECT(f32, float, cyd_f32v, CYD_L32, cyd_keep_f32v)
CYD_DEFINE_CONNECT(f64, double, cyd_f64v, CYD_L64, cyd_keep_f64v)

#define cyd_connect(y, ...) CYD_REAL(cyd_connect, y)(y, __VA_ARGS__)
#define cyd_connect_back(y, ...) CYD_REAL(cyd_connect_back, y)(y, __VA_ARGS__)

#endif
