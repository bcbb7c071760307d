/* Products by the functions of a CBLAS, whose integers have 32 or 64 bits. */
#ifndef CYDROPOUT_GEMM_H
#define CYDROPOUT_GEMM_H

#include <stdint.h>

typedef struct {
    void *single, *wide; /* cblas_sgemm and cblas_dgemm, or NULL */
    int long_integers;
} cyd_blas_t;

#define CYD_GEMM(integer, real, function)                                                        \
    ((void (*)(int, int, int, integer, integer, integer, real, const real *, integer,            \
               const real *, integer, real, real *, integer))(function))(                        \
        101, a_turned ? 112 : 111, b_turned ? 112 : 111, (integer)m, (integer)n, (integer)k,     \
        (real)1, (const real *)a, (integer)(a_turned ? m : k), (const real *)b,                  \
        (integer)(b_turned ? k : n), (real)0, (real *)c, (integer)n)

/* c = a b, (m, k) by (k, n) in C order, of doubles or floats; a turned matrix lies transposed. */
static void cyd_gemm(const cyd_blas_t *blas, int is_wide, int a_turned, int b_turned, int64_t m,
                     int64_t n, int64_t k, const void *a, const void *b, void *c) {
    if (is_wide && blas->long_integers)
        CYD_GEMM(int64_t, double, blas->wide);
    else if (is_wide)
        CYD_GEMM(int32_t, double, blas->wide);
    else if (blas->long_integers)
        CYD_GEMM(int64_t, float, blas->single);
    else
        CYD_GEMM(int32_t, float, blas->single);
}

#endif
