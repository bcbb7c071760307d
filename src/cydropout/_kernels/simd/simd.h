/* What the kernels take from C: masks of a tile, and the 32 elements of one word of keep-bits. */
#ifndef CYDROPOUT_SIMD_H
#define CYDROPOUT_SIMD_H

#include "batch_norm/norm_pool.h"
#include "simd/bitstrings.h"
#include "drop_connect/drop_connect.h"
#include "simd/half.h"
#include "simd/philox.h"
#include "pool/pool.h"
#include "product/panel.h"
#include "noise/variates.h"
#include "recurrent_dropout/recurrent_dropout.h"
#include "zoneout/zoneout.h"
#include "recurrence/row.h"
#include "submatrix/columns.h"
#include "simd/vectors.h"

/* y = scale * x where kept, else 0, for the 32 elements of one word. */

#define CYD_DEFINE_APPLY(name, type, scale_type, vector, lanes, load, store, keep)               \
    CYD_INLINE void cyd_apply_##name(type *y, const type *x, const scale_type *scale,            \
                                     uint32_t bits) {                                            \
        for (int k = 0; k < 32; k += lanes) {                                                    \
            vector v, s;                                                                         \
            load(v, x + k);                                                                      \
            CYD_WHOLE(v);                                                                        \
            CYD_LOAD(s, scale + k);                                                              \
            v = keep(v * s, bits, k);                                                            \
            store(y + k, v);                                                                     \
        }                                                                                        \
    }
CYD_DEFINE_APPLY(f32, float, float, cyd_f32v, CYD_L32, CYD_LOAD, CYD_STORE, cyd_keep_f32v)
CYD_DEFINE_APPLY(f64, double, double, cyd_f64v, CYD_L64, CYD_LOAD, CYD_STORE, cyd_keep_f64v)
CYD_DEFINE_APPLY(f16, cyd_f16, float, cyd_f32v, CYD_L32, CYD_LOAD_F16, cyd_to_f16, cyd_keep_f32v)
CYD_DEFINE_APPLY(bf16, cyd_bf16, float, cyd_f32v, CYD_L32, CYD_LOAD_BF16, cyd_to_bf16,
                 cyd_keep_f32v)

/* y = scale * x + shift where kept, else `dropped`. */

#define CYD_DEFINE_AFFINE(name, type, real, vector, lanes, load, store, kept)                    \
    CYD_INLINE void cyd_affine_##name(type *y, const type *x, const real *scale, uint32_t bits,  \
                                      real shift, real dropped) {                                \
        for (int k = 0; k < 32; k += lanes) {                                                    \
            vector v, s;                                                                         \
            load(v, x + k);                                                                      \
            CYD_LOAD(s, scale + k);                                                              \
            v = kept(v * s + shift, dropped, bits, k);                                           \
            store(y + k, v);                                                                     \
        }                                                                                        \
    }
CYD_INLINE cyd_f32v cyd_either_f32v(cyd_f32v yes, float no, uint32_t bits, int k) {
    const cyd_i32v where = cyd_lanes32(bits, k);
    return (cyd_f32v)(((cyd_i32v)yes & where) | ((cyd_i32v)(no - (cyd_f32v){0}) & ~where));
}
CYD_INLINE cyd_f64v cyd_either_f64v(cyd_f64v yes, double no, uint32_t bits, int k) {
    const cyd_i64v where = cyd_lanes64(bits, k);
    return (cyd_f64v)(((cyd_i64v)yes & where) | ((cyd_i64v)(no - (cyd_f64v){0}) & ~where));
}
CYD_DEFINE_AFFINE(f32, float, float, cyd_f32v, CYD_L32, CYD_LOAD, CYD_STORE, cyd_either_f32v)
CYD_DEFINE_AFFINE(f64, double, double, cyd_f64v, CYD_L64, CYD_LOAD, CYD_STORE, cyd_either_f64v)
CYD_DEFINE_AFFINE(f16, cyd_f16, float, cyd_f32v, CYD_L32, CYD_LOAD_F16, cyd_to_f16,
                  cyd_either_f32v)
CYD_DEFINE_AFFINE(bf16, cyd_bf16, float, cyd_f32v, CYD_L32, CYD_LOAD_BF16, cyd_to_bf16,
                  cyd_either_f32v)

/* Activations, noise, softmax and standout, written once for both float types. */

enum {
    CYD_LINEAR, CYD_RELU, CYD_SIGMOID, CYD_TANH, CYD_SOFTPLUS, CYD_SELU, CYD_GELU
};
#define CYD_SELU_SCALE 1.0507009873554805
#define CYD_SELU_ALPHA 1.6732632423543772

typedef cyd_i32v cyd_integer_f32;
#define REAL float
#define VECTOR cyd_f32v
#define LANES CYD_L32
#define KEEP cyd_keep_f32v
#define EITHER cyd_either_f32v
#define GREATER cyd_max_f32v
#define LESSER cyd_min_f32v
#define NAME(x) x##f32
#define TAILS                                                                                     \
    0.2553956785f, 0.1717901594f, 0.06986786676f, 0.009110834714f, -0.005375813093f,              \
    -0.001621725959f, 0.0007645785804f, 0.0002153352442f, -0.0001496913560f, -1.830093847e-5f,    \
    2.108059860e-5f
#define SQRT __builtin_sqrtf
#define SIGN INT32_MIN
#define MANTISSA 23
#define ROUNDER 12582912.0f /* 1.5 * 2**23 */
#define EXP_BIAS 127
#define EXP_RANGE 87.0f
#define EXP_TERMS 8
#define LOG_TERMS 8
#define LN2_HIGH 0x1.62ep-1f
#define LN2_LOW 0x1.0bfbe8p-15f
#define FROM_F32 CYD_LOAD
#define LOAD_F64(v, p) (v) = cyd_f64_from_f32(p)
#include "simd/reals.h"
CYD_DEFINE_NOISE(f16, cyd_f16, CYD_LOAD_F16, cyd_to_f16)
CYD_DEFINE_NOISE(bf16, cyd_bf16, CYD_LOAD_BF16, cyd_to_bf16)
CYD_DEFINE_NOISE(f32, float, CYD_LOAD, CYD_STORE)
#undef REAL
#undef VECTOR
#undef LANES
#undef KEEP
#undef EITHER
#undef GREATER
#undef LESSER
#undef NAME
#undef TAILS
#undef SQRT
#undef GROUP
#undef PARTS
#undef SIGN
#undef MANTISSA
#undef ROUNDER
#undef EXP_BIAS
#undef EXP_RANGE
#undef EXP_TERMS
#undef LOG_TERMS
#undef LN2_HIGH
#undef LN2_LOW
#undef FROM_F32
#undef LOAD_F64

typedef cyd_i64v cyd_integer_f64;
#define REAL double
#define VECTOR cyd_f64v
#define LANES CYD_L64
#define KEEP cyd_keep_f64v
#define EITHER cyd_either_f64v
#define GREATER cyd_max_f64v
#define LESSER cyd_min_f64v
#define NAME(x) x##f64
#define TAILS                                                                                     \
    0.255395676310505745, 0.171790171103452637, 0.0698680231390134457, 0.00911055787672124837,    \
    -0.00537766547235818194, -0.00161979626699325659, 0.000772653014528821845,                    \
    0.000209324016648243404, -0.000165768373809730221, -8.59286879727446955e-6,                   \
    0.0000361176753071927167, -8.53716826536785005e-6, -5.42402863444554788e-6,                   \
    4.03002024551407312e-6, -2.81408346759646232e-7, -9.10403919201491076e-7,                     \
    5.00459293132705057e-7, -1.52935982283735487e-9, -1.42774091191705858e-7,                     \
    8.24558155559231646e-8, -8.49136200646783309e-10, -2.88007334858781225e-8,                    \
    1.45209927221045428e-8, 3.17693233475256961e-9, -4.87237831296612890e-9,                      \
    6.14226817509328305e-10, 6.02583299794181835e-10, -1.69443477731543442e-10
#define SQRT __builtin_sqrt
#define SIGN INT64_MIN
#define MANTISSA 52
#define ROUNDER 6755399441055744.0 /* 1.5 * 2**52 */
#define EXP_BIAS 1023
#define EXP_RANGE 708.0
#define EXP_TERMS 14
#define LOG_TERMS 17
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define FROM_F32(v, p) (v) = cyd_f64_from_f32(p)
#define LOAD_F64 CYD_LOAD
#include "simd/reals.h"
CYD_DEFINE_NOISE(f64, double, CYD_LOAD, CYD_STORE)

#define cyd_apply(y, ...) CYD_ELEMENT(cyd_apply, y)(y, __VA_ARGS__)
#define cyd_affine(y, ...) CYD_ELEMENT(cyd_affine, y)(y, __VA_ARGS__)
#define cyd_noise(y, ...) CYD_ELEMENT(cyd_noise, y)(y, __VA_ARGS__)
#define cyd_noise_back(y, ...) CYD_ELEMENT(cyd_noise_back, y)(y, __VA_ARGS__)

#endif
