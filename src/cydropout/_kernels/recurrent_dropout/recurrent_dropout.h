/* A gated update of a state with dropout of what is new, 32 elements at a time. */
#ifndef CYDROPOUT_RECURRENT_DROPOUT_H
#define CYDROPOUT_RECURRENT_DROPOUT_H

#include "simd/vectors.h"

/* y = f p + g m with m = scale * c where kept, else 0; and backward: dp = f dy, df = p dy,
 * dg = m dy, dc = scale * (g dy) where kept, else 0. */

#define CYD_DEFINE_GATED(name, real, vector, lanes, keep)                                        \
    CYD_INLINE void cyd_gated_##name(real *y, const real *p, const real *f, const real *g,       \
                                     const real *c, const real *scale, uint32_t bits) {          \
        for (int k = 0; k < 32; k += lanes) {                                                    \
            vector vp, vf, vg, vc, s;                                                            \
            CYD_LOAD(vp, p + k);                                                                 \
            CYD_LOAD(vf, f + k);                                                                 \
            CYD_LOAD(vg, g + k);                                                                 \
            CYD_LOAD(vc, c + k);                                                                 \
            CYD_LOAD(s, scale + k);                                                              \
            CYD_WHOLE(vc);                                                                       \
            vp = vf * vp + vg * keep(vc * s, bits, k);                                           \
            CYD_STORE(y + k, vp);                                                                \
        }                                                                                        \
    }                                                                                            \
    CYD_INLINE void cyd_gated_back_##name(                                                       \
        real *dp, real *df, real *dg, real *dc, const real *dy, const real *p, const real *f,    \
        const real *g, const real *c, const real *scale, uint32_t bits) {                        \
        for (int k = 0; k < 32; k += lanes) {                                                    \
            vector d, vp, vf, vg, vc, s;                                                         \
            CYD_LOAD(d, dy + k);                                                                 \
            CYD_LOAD(vp, p + k);                                                                 \
            CYD_LOAD(vf, f + k);                                                                 \
            CYD_LOAD(vg, g + k);                                                                 \
            CYD_LOAD(vc, c + k);                                                                 \
            CYD_LOAD(s, scale + k);                                                              \
            CYD_WHOLE(vc);                                                                       \
            vf = vf * d;                                                                         \
            vp = vp * d;                                                                         \
            vc = keep(vc * s, bits, k) * d;                                                      \
            vg = keep(vg * d * s, bits, k);                                                      \
            CYD_STORE(dp + k, vf);                                                               \
            CYD_STORE(df + k, vp);                                                               \
            CYD_STORE(dg + k, vc);                                                               \
            CYD_STORE(dc + k, vg);                                                               \
        }                                                                                        \
    }
CYD_DEFINE_GATED(f32, float, cyd_f32v, CYD_L32, cyd_keep_f32v)
CYD_DEFINE_GATED(f64, double, cyd_f64v, CYD_L64, cyd_keep_f64v)

#endif
