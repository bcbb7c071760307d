/* Windows side by side over normalised maps: the largest element of each, and its gradient back. */
#ifndef CYDROPOUT_NORM_POOL_H
#define CYDROPOUT_NORM_POOL_H

#include "pool/pool.h"
#include "simd/vectors.h"

/* cyd_norm_pool: of a row of windows of high x wide elements of channels each, over rows of `line`
 * elements, y = the largest of (x - center) * scale + shift, then of a ReLU where it is asked for, and
 * `at` says which one it was. A NaN counts as larger than all.
 *
 * cyd_unpool: the gradients of `count` elements of a row of the map from one on, of which the largest of
 * a window has that of the window; `number` is the window's first element in this row. */
#define CYD_NORM_POOL(suffix, real, real_v, int_v, byte_v, LANES)                                  \
    static void cyd_norm_pool_##suffix(real *y, uint8_t *at, const real *x, const real *center,    \
                                       const real *scale, const real *shift, int relu,             \
                                       uint64_t windows, uint64_t high, uint64_t wide,             \
                                       uint64_t line, uint64_t channels) {                         \
        uint64_t c = 0;                                                                            \
        for (; c + LANES <= channels; c += LANES) {                                                \
            real_v middle, factor, offset;                                                         \
            CYD_LOAD(middle, center + c);                                                          \
            CYD_LOAD(factor, scale + c);                                                           \
            CYD_LOAD(offset, shift + c);                                                           \
            for (uint64_t j = 0; j < windows; j++) {                                               \
                real_v best = {0}, next;                                                           \
                int_v which = {0};                                                                 \
                int number = 0;                                                                    \
                for (uint64_t k = 0; k < high; k++) {                                              \
                    const real *from = x + k * line + j * wide * channels + c;                     \
                    for (uint64_t m = 0; m < wide; m++, from += channels, number++) {              \
                        CYD_LOAD(next, from);                                                      \
                        next = (next - middle) * factor + offset;                                  \
                        if (relu) next = (real_v)((int_v)next & ~(int_v)(next <= 0));              \
                        int_v more = (next > best) | (next != next) | (-!number - (int_v){0});     \
                        best = (real_v)(((int_v)next & more) | ((int_v)best & ~more));             \
                        which = (number & more) | (which & ~more);                                 \
                    }                                                                              \
                }                                                                                  \
                byte_v bytes = __builtin_convertvector(which, byte_v);                             \
                CYD_STORE(y + j * channels + c, best);                                             \
                CYD_STORE(at + j * channels + c, bytes);                                           \
            }                                                                                      \
        }                                                                                          \
        for (; c < channels; c++) {                                                                \
            for (uint64_t j = 0; j < windows; j++) {                                               \
                real best = 0;                                                                     \
                uint8_t which = 0;                                                                 \
                for (uint64_t k = 0; k < high; k++) {                                              \
                    for (uint64_t m = 0; m < wide; m++) {                                          \
                        real next = x[k * line + (j * wide + m) * channels + c];                   \
                        next = (next - center[c]) * scale[c] + shift[c];                           \
                        if (relu) next = next <= 0 ? 0 : next;                                     \
                        if (next > best || next != next || !(k + m)) {                             \
                            best = next;                                                           \
                            which = (uint8_t)(k * wide + m);                                       \
                        }                                                                          \
                    }                                                                              \
                }                                                                                  \
                y[j * channels + c] = best;                                                        \
                at[j * channels + c] = which;                                                      \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void cyd_unpool_##suffix(real *to, const real *dy, const uint8_t *at, int number,       \
                                    uint64_t wide, uint64_t from, uint64_t count,                  \
                                    uint64_t windows, uint64_t channels) {                         \
        uint64_t j = from / wide, m = from % wide;                                                 \
        for (uint64_t p = 0; p < count; p++, to += channels) {                                     \
            const real *gradients = dy + j * channels;                                             \
            const uint8_t *chosen = at + j * channels;                                             \
            const int own = number + (int)m;                                                       \
            uint64_t c = j < windows ? 0 : channels;                                               \
            if (c) memset(to, 0, channels * sizeof(real));                                         \
            for (; c + LANES <= channels; c += LANES) {                                            \
                real_v gradient;                                                                   \
                CYD_LOAD(gradient, gradients + c);                                                 \
                int_v mine = cyd_widened_##suffix(chosen + c) == own;                              \
                gradient = (real_v)((int_v)gradient & mine) + (real_v){0}; /* no -0, as of a sum */ \
                CYD_STORE(to + c, gradient);                                                       \
            }                                                                                      \
            for (; c < channels; c++) to[c] = (chosen[c] == own ? gradients[c] : 0) + (real)0;     \
            if (++m == wide) m = 0, j++;                                                           \
        }                                                                                          \
    }

CYD_NORM_POOL(f32, float, cyd_f32v, cyd_i32v, cyd_u8_of32, CYD_L32)
CYD_NORM_POOL(f64, double, cyd_f64v, cyd_i64v, cyd_u8_of64, CYD_L64)

#define cyd_norm_pool(y, ...) CYD_REAL(cyd_norm_pool, y)(y, __VA_ARGS__)
#define cyd_unpool(to, ...) CYD_REAL(cyd_unpool, to)(to, __VA_ARGS__)

#endif
