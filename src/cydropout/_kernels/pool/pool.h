/* The largest of some rows of channels, and its gradient back to the row it came from. */
#ifndef CYDROPOUT_POOL_H
#define CYDROPOUT_POOL_H

#include "simd/vectors.h"

typedef uint8_t cyd_u8_of32 __attribute__((vector_size(CYD_L32)));
typedef uint8_t cyd_u8_of64 __attribute__((vector_size(CYD_L64)));

/* As many bytes as a vector has elements, each as one of these. */
#if CYD_BYTES == 64
CYD_INLINE cyd_i32v cyd_widened_f32(const uint8_t *p) {
    return (cyd_i32v)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}
CYD_INLINE cyd_i64v cyd_widened_f64(const uint8_t *p) {
    return (cyd_i64v)_mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)p));
}
#elif CYD_BYTES == 32
CYD_INLINE cyd_i32v cyd_widened_f32(const uint8_t *p) {
    return (cyd_i32v)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
CYD_INLINE cyd_i64v cyd_widened_f64(const uint8_t *p) {
    int32_t four;
    CYD_LOAD(four, p);
    return (cyd_i64v)_mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four));
}
#else
CYD_INLINE cyd_i32v cyd_widened_f32(const uint8_t *p) {
    cyd_u8_of32 bytes;
    CYD_LOAD(bytes, p);
    return __builtin_convertvector(bytes, cyd_i32v);
}
CYD_INLINE cyd_i64v cyd_widened_f64(const uint8_t *p) {
    cyd_u8_of64 bytes;
    CYD_LOAD(bytes, p);
    return __builtin_convertvector(bytes, cyd_i64v);
}
#endif

/* Row j of x begins at places[j]. A NaN counts as larger than all. */
#define CYD_POOL(suffix, real, real_v, int_v, byte_v, LANES)                                       \
    static void cyd_pool_##suffix(real *y, uint8_t *at, const real *x, const uint64_t *places,      \
                                 const uint8_t *numbers, uint64_t count, uint64_t channels) {      \
        uint64_t c = 0;                                                                            \
        for (; c + LANES <= channels; c += LANES) {                                                \
            real_v best, next;                                                                     \
            int_v which = numbers[0] - (int_v){0};                                                 \
            CYD_LOAD(best, x + places[0] + c);                                                     \
            for (uint64_t j = 1; j < count; j++) {                                                 \
                CYD_LOAD(next, x + places[j] + c);                                                 \
                int_v more = (next > best) | (next != next);                                       \
                best = (real_v)(((int_v)next & more) | ((int_v)best & ~more));                     \
                which = (numbers[j] & more) | (which & ~more);                                     \
            }                                                                                      \
            byte_v bytes = __builtin_convertvector(which, byte_v);                                 \
            CYD_STORE(y + c, best);                                                                \
            CYD_STORE(at + c, bytes);                                                              \
        }                                                                                          \
        for (; c < channels; c++) {                                                                \
            real best = x[places[0] + c];                                                          \
            uint8_t which = numbers[0];                                                            \
            for (uint64_t j = 1; j < count; j++) {                                                 \
                real next = x[places[j] + c];                                                      \
                if (next > best || next != next) {                                                 \
                    best = next;                                                                   \
                    which = numbers[j];                                                            \
                }                                                                                  \
            }                                                                                      \
            y[c] = best;                                                                           \
            at[c] = which;                                                                         \
        }                                                                                          \
    }                                                                                              \
    static void cyd_pool_back_##suffix(const real *dy, const uint8_t *at, real *dx,                 \
                                      const uint64_t *places, const uint8_t *numbers,              \
                                      uint64_t count, uint64_t channels) {                         \
        uint64_t c = 0;                                                                            \
        for (; c + LANES <= channels; c += LANES) {                                                \
            real_v gradient, sum;                                                                  \
            CYD_LOAD(gradient, dy + c);                                                            \
            int_v which = cyd_widened_##suffix(at + c);                                            \
            for (uint64_t j = 0; j < count; j++) {                                                 \
                int_v own = which == numbers[j];                                                   \
                CYD_LOAD(sum, dx + places[j] + c);                                                 \
                sum += (real_v)((int_v)gradient & own);                                            \
                CYD_STORE(dx + places[j] + c, sum);                                                \
            }                                                                                      \
        }                                                                                          \
        for (; c < channels; c++)                                                                  \
            for (uint64_t j = 0; j < count; j++)                                                   \
                dx[places[j] + c] += at[c] == numbers[j] ? dy[c] : 0;                              \
    }

CYD_POOL(f32, float, cyd_f32v, cyd_i32v, cyd_u8_of32, CYD_L32)
CYD_POOL(f64, double, cyd_f64v, cyd_i64v, cyd_u8_of64, CYD_L64)

#define cyd_pool(y, ...) CYD_REAL(cyd_pool, y)(y, __VA_ARGS__)
#define cyd_pool_back(y, ...) CYD_REAL(cyd_pool_back, y)(y, __VA_ARGS__)

#endif
