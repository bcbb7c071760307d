/* 16-bit floats: computed in float32 and rounded once, to nearest even. */
#ifndef CYDROPOUT_HALF_H
#define CYDROPOUT_HALF_H

#include "simd/vectors.h"

typedef uint16_t cyd_u16v __attribute__((vector_size(CYD_BYTES / 2)));

CYD_INLINE cyd_u32v cyd_pick32(cyd_i32v where, cyd_u32v yes, cyd_u32v no) {
    return (yes & (cyd_u32v)where) | (no & ~(cyd_u32v)where);
}

CYD_INLINE cyd_f32v cyd_from_bf16(const cyd_bf16 *p) {
    cyd_u16v h;
    CYD_LOAD(h, p);
    return (cyd_f32v)(__builtin_convertvector(h, cyd_u32v) << 16);
}

CYD_INLINE void cyd_to_bf16(cyd_bf16 *p, cyd_f32v v) {
    const cyd_u32v u = (cyd_u32v)v;
    const cyd_u32v rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    const cyd_u16v h = __builtin_convertvector(
        cyd_pick32((u & 0x7fffffff) > 0x7f800000, (u >> 16) | 0x40, rounded), cyd_u16v);
    CYD_STORE(p, h);
}

CYD_INLINE cyd_f32v cyd_from_f16(const cyd_f16 *p) {
#if CYD_BYTES == 64
    return (cyd_f32v)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
#elif CYD_BYTES == 32 && defined(__F16C__)
    return (cyd_f32v)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
#else
    cyd_u16v h;
    CYD_LOAD(h, p);
    const cyd_u32v u = __builtin_convertvector(h, cyd_u32v);
    const cyd_u32v sign = (u & 0x8000) << 16, magnitude = u & 0x7fff;
    const cyd_f32v tiny = __builtin_convertvector((cyd_i32v)magnitude, cyd_f32v) * 0x1p-24f;
    cyd_u32v r = (magnitude << 13) + (112u << 23);
    r = cyd_pick32(magnitude >= 0x7c00, r + (112u << 23), r);
    r = cyd_pick32(magnitude > 0x7c00, r | 0x400000, r);
    r = cyd_pick32(magnitude < 0x0400, (cyd_u32v)tiny, r);
    return (cyd_f32v)(r | sign);
#endif
}

CYD_INLINE void cyd_to_f16(cyd_f16 *p, cyd_f32v v) {
#if CYD_BYTES == 64
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif CYD_BYTES == 32 && defined(__F16C__)
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
    const cyd_u32v u = (cyd_u32v)v;
    const cyd_u32v sign = (u >> 16) & 0x8000, magnitude = u & 0x7fffffff;
    /* Adding 2**-1 leaves the subnormal's digits at the bottom of the sum, rounded to even. */
    const cyd_u32v small = (cyd_u32v)((cyd_f32v)magnitude + 0.5f) - 0x3f000000u;
    const cyd_u32v normal = (magnitude - (112u << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    cyd_u32v r = cyd_pick32(magnitude < 0x38800000, small, normal);
    r = cyd_pick32(magnitude >= 0x47800000, r * 0 + 0x7c00, r);
    r = cyd_pick32(magnitude > 0x7f800000, 0x7e00 | ((magnitude >> 13) & 0x3ff), r);
    const cyd_u16v h = __builtin_convertvector(r | sign, cyd_u16v);
    CYD_STORE(p, h);
#endif
}

#define CYD_LOAD_F16(v, p) (v) = cyd_from_f16(p)
#define CYD_LOAD_BF16(v, p) (v) = cyd_from_bf16(p)

#endif
