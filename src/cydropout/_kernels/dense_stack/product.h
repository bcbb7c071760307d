/* Products as NumPy makes them, by the functions of a CBLAS, whose integers have 32 or 64 bits. */
#ifndef CYDROPOUT_PRODUCT_H
#define CYDROPOUT_PRODUCT_H

#include <stdint.h>

typedef struct {
    void *matrices[2]; /* cblas_sgemm and cblas_dgemm */
    void *vectors[2];  /* cblas_sgemv and cblas_dgemv */
    int long_integers;
} cyd_blas_t;

/* Orders and transpositions of CBLAS. */
enum { ROW_MAJOR = 101, COLUMN_MAJOR = 102, AS_IT_LIES = 111, TRANSPOSED = 112 };

#define CYD_GEMM(integer, real)                                                                  \
    ((void (*)(int, int, int, integer, integer, integer, real, const real *, integer,            \
               const real *, integer, real, real *, integer))blas->matrices[is_wide])(           \
        ROW_MAJOR, a_turned ? TRANSPOSED : AS_IT_LIES, b_turned ? TRANSPOSED : AS_IT_LIES,       \
        (integer)m, (integer)n, (integer)k, (real)1, (const real *)a,                            \
        (integer)(a_turned ? m : k), (const real *)b, (integer)stride, (real)0, (real *)c,       \
        (integer)n)

/* y = w' x: w lies as (k, n), or by columns as (n, k). */
#define CYD_GEMV(integer, real)                                                                  \
    ((void (*)(int, int, integer, integer, real, const real *, integer, const real *, integer,   \
               real, real *, integer))blas->vectors[is_wide])(                                   \
        by_columns ? COLUMN_MAJOR : ROW_MAJOR, TRANSPOSED, (integer)k, (integer)n, (real)1,      \
        (const real *)w, (integer)(by_columns ? k : n), (const real *)x, 1, (real)0, (real *)y, 1)

#define CYD_BY_TYPE(CALL)                                                                        \
    if (is_wide && blas->long_integers)                                                          \
        CALL(int64_t, double);                                                                   \
    else if (is_wide)                                                                            \
        CALL(int32_t, double);                                                                   \
    else if (blas->long_integers)                                                                \
        CALL(int64_t, float);                                                                    \
    else                                                                                         \
        CALL(int32_t, float);

#define CYD_OUTER(real)                                                                          \
    for (int64_t i = 0; i < m; i++)                                                              \
        for (int64_t j = 0; j < n; j++)                                                          \
            ((real *)c)[i * n + j] = (real)0 + ((const real *)a)[i] * ((const real *)b)[j];

static void cyd_vector_product(const cyd_blas_t *blas, int is_wide, int by_columns, int64_t n,
                               int64_t k, const void *w, const void *x, void *y) {
    CYD_BY_TYPE(CYD_GEMV)
}

/* c = a b, (m, k) by (k, n) in C order, of doubles or floats; a turned matrix lies transposed.
 *
 * From a row of b, as it lies, to the next are `stride` numbers, unless one of the sizes is 1: then
 * its rows follow each other. With the calls that `numpy.matmul` makes: all bits are the same. */
static void cyd_product(const cyd_blas_t *blas, int is_wide, int a_turned, int b_turned, int64_t m,
                        int64_t n, int64_t k, const void *a, const void *b, int64_t stride,
                        void *c) {
    if (k == 1) {
        if (is_wide) {
            CYD_OUTER(double)
        } else {
            CYD_OUTER(float)
        }
    } else if (n == 1) {
        cyd_vector_product(blas, is_wide, !a_turned, m, k, a, b, c);
    } else if (m == 1) {
        cyd_vector_product(blas, is_wide, b_turned, n, k, b, a, c);
    } else {
        CYD_BY_TYPE(CYD_GEMM)
    }
}

#endif
