/* Vectors as wide as the instruction set this is compiled for, in GCC/Clang vector extensions.
 *
 * Everything is static, so that several builds can live in one process.
 */
#ifndef CYDROPOUT_VECTORS_H
#define CYDROPOUT_VECTORS_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#define CYD_BYTES 64
#elif defined(__AVX2__)
#define CYD_BYTES 32
#else
#define CYD_BYTES 16
#endif

#define CYD_INLINE static inline __attribute__((always_inline))
#define CYD_VECTOR(type) type __attribute__((vector_size(CYD_BYTES)))

typedef CYD_VECTOR(uint64_t) cyd_u64v;
typedef CYD_VECTOR(int64_t) cyd_i64v;
typedef CYD_VECTOR(uint32_t) cyd_u32v;
typedef CYD_VECTOR(int32_t) cyd_i32v;
typedef CYD_VECTOR(float) cyd_f32v;
typedef CYD_VECTOR(double) cyd_f64v;
typedef uint16_t cyd_f16;
typedef uint16_t cyd_bf16;

#define CYD_L32 (CYD_BYTES / 4)
#define CYD_L64 (CYD_BYTES / 8)
#define CYD_LOAD(v, p) memcpy(&(v), (p), sizeof(v))
#define CYD_STORE(p, v) memcpy((p), &(v), sizeof(v))

CYD_INLINE cyd_u64v cyd_splat64(uint64_t a) { return a - (cyd_u64v){0}; }

/* Keep-bits to lanes: all ones where the bit k + lane of `bits` is set. */

CYD_INLINE cyd_i32v cyd_lanes32(uint32_t bits, int k) {
    cyd_u32v select;
    for (int i = 0; i < CYD_L32; i++) select[i] = (uint32_t)1 << i;
    return ((((bits >> k) - (cyd_u32v){0}) & select) != 0);
}

CYD_INLINE cyd_i64v cyd_lanes64(uint32_t bits, int k) {
    cyd_u64v select;
    for (int i = 0; i < CYD_L64; i++) select[i] = (uint64_t)1 << i;
    return ((cyd_splat64(bits >> k) & select) != 0);
}

CYD_INLINE cyd_f32v cyd_keep_f32v(cyd_f32v x, uint32_t bits, int k) {
#if CYD_BYTES == 64
    return (cyd_f32v)_mm512_maskz_mov_ps((__mmask16)(bits >> k), (__m512)x);
#else
    return (cyd_f32v)((cyd_i32v)x & cyd_lanes32(bits, k));
#endif
}

CYD_INLINE cyd_f64v cyd_keep_f64v(cyd_f64v x, uint32_t bits, int k) {
#if CYD_BYTES == 64
    return (cyd_f64v)_mm512_maskz_mov_pd((__mmask8)(bits >> k), (__m512d)x);
#else
    return (cyd_f64v)((cyd_i64v)x & cyd_lanes64(bits, k));
#endif
}

/* The 32 bits that begin at bit `at`; reads the word after only where it is needed. */
CYD_INLINE uint32_t cyd_bits_at(const uint32_t *words, uint64_t at, int count) {
    const int shift = (int)(at & 31);
    uint32_t bits = words[at >> 5] >> shift;
    if (shift + count > 32) bits |= words[(at >> 5) + 1] << (32 - shift);
    return bits;
}

#endif
