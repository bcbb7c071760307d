/* A choice between two states, 32 elements at a time. */
#ifndef CYDROPOUT_ZONEOUT_H
#define CYDROPOUT_ZONEOUT_H

#include "simd/vectors.h"

typedef CYD_VECTOR(uint16_t) cyd_u16w;
#define CYD_L16 (CYD_BYTES / 2)

/* yes where the bit k + lane is set, else no. */
#if CYD_BYTES == 64
CYD_INLINE cyd_u16w cyd_pick_16(cyd_u16w yes, cyd_u16w no, uint32_t bits, int k) {
    return (cyd_u16w)_mm512_mask_blend_epi16((__mmask32)(bits >> k), (__m512i)no, (__m512i)yes);
}
CYD_INLINE cyd_u32v cyd_pick_32(cyd_u32v yes, cyd_u32v no, uint32_t bits, int k) {
    return (cyd_u32v)_mm512_mask_blend_epi32((__mmask16)(bits >> k), (__m512i)no, (__m512i)yes);
}
CYD_INLINE cyd_u64v cyd_pick_64(cyd_u64v yes, cyd_u64v no, uint32_t bits, int k) {
    return (cyd_u64v)_mm512_mask_blend_epi64((__mmask8)(bits >> k), (__m512i)no, (__m512i)yes);
}
#else
CYD_INLINE cyd_u16w cyd_pick_16(cyd_u16w yes, cyd_u16w no, uint32_t bits, int k) {
    cyd_u16w select;
    for (int i = 0; i < CYD_L16; i++) select[i] = (uint16_t)(1u << i);
    const cyd_u16w where =
        (cyd_u16w)((((uint16_t)(bits >> k) - (cyd_u16w){0}) & select) != 0);
    return (yes & where) | (no & ~where);
}
CYD_INLINE cyd_u32v cyd_pick_32(cyd_u32v yes, cyd_u32v no, uint32_t bits, int k) {
    const cyd_u32v where = (cyd_u32v)cyd_lanes32(bits, k);
    return (yes & where) | (no & ~where);
}
CYD_INLINE cyd_u64v cyd_pick_64(cyd_u64v yes, cyd_u64v no, uint32_t bits, int k) {
    const cyd_u64v where = (cyd_u64v)cyd_lanes64(bits, k);
    return (yes & where) | (no & ~where);
}
#endif

/* y = yes where kept, else no; and backward: dyes = dy where kept, dno = dy where not. */

#define CYD_DEFINE_BLEND(size, item, vector, lanes)                                              \
    CYD_INLINE void cyd_blend_##size(void *y, const void *yes, const void *no, uint32_t bits) {  \
        for (int k = 0; k < 32; k += lanes) {                                                    \
            vector a, b;                                                                         \
            CYD_LOAD(a, (const item *)yes + k);                                                  \
            CYD_LOAD(b, (const item *)no + k);                                                   \
            CYD_WHOLE(a);                                                                        \
            CYD_WHOLE(b);                                                                        \
            a = cyd_pick_##size(a, b, bits, k);                                                  \
            CYD_STORE((item *)y + k, a);                                                         \
        }                                                                                        \
    }                                                                                            \
    CYD_INLINE void cyd_split_##size(void *dyes, void *dno, const void *dy, uint32_t bits) {     \
        for (int k = 0; k < 32; k += lanes) {                                                    \
            vector g, a, b;                                                                      \
            CYD_LOAD(g, (const item *)dy + k);                                                   \
            CYD_WHOLE(g);                                                                        \
            a = cyd_pick_##size(g, (vector){0}, bits, k);                                        \
            b = cyd_pick_##size((vector){0}, g, bits, k);                                        \
            CYD_STORE((item *)dyes + k, a);                                                      \
            CYD_STORE((item *)dno + k, b);                                                       \
        }                                                                                        \
    }
CYD_DEFINE_BLEND(16, uint16_t, cyd_u16w, CYD_L16)
CYD_DEFINE_BLEND(32, uint32_t, cyd_u32v, CYD_L32)
CYD_DEFINE_BLEND(64, uint64_t, cyd_u64v, CYD_L64)

#endif
