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
/* Half as wide: with as many elements as a vector of doubles. */
typedef float cyd_f32h __attribute__((vector_size(CYD_BYTES / 2)));
typedef int32_t cyd_i32h __attribute__((vector_size(CYD_BYTES / 2)));
typedef uint16_t cyd_f16;
typedef int16_t cyd_bf16; /* another type, for _Generic */

#define CYD_L32 (CYD_BYTES / 4)
#define CYD_L64 (CYD_BYTES / 8)
#define CYD_AHEAD 4096 /* bytes */
#define CYD_LOAD(v, p) memcpy(&(v), (p), sizeof(v))
#define CYD_STORE(p, v) memcpy((p), &(v), sizeof(v))

/* Makes a load one of its own. Folded into a masked operation it is a masked load, which the CPU does
 * not prefetch for: a third slower from memory. */
#if CYD_BYTES == 64
#define CYD_WHOLE(v) __asm__("" : "+v"(v))
#else
#define CYD_WHOLE(v)
#endif

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

CYD_INLINE cyd_f64v cyd_f64_from_f32(const float *p) {
    cyd_f32h h;
    CYD_LOAD(h, p);
    return __builtin_convertvector(h, cyd_f64v);
}

/* Words as numbers below 2**32. */
CYD_INLINE cyd_f64v cyd_f64_from_u32(const uint32_t *p) {
    cyd_i32h h;
    CYD_LOAD(h, p);
    /* The baseline converts signed numbers alone. */
    return __builtin_convertvector(h ^ INT32_MIN, cyd_f64v) + 0x1p31;
}

/* Lanes to keep-bits: bit i is set where lane i is all ones. */
CYD_INLINE uint32_t cyd_bits_f64v(cyd_i64v where) {
#if CYD_BYTES == 64
    return (uint32_t)_mm512_movepi64_mask((__m512i)where);
#elif CYD_BYTES == 32
    return (uint32_t)_mm256_movemask_pd((__m256d)where);
#elif defined(__SSE2__)
    return (uint32_t)_mm_movemask_pd((__m128d)where);
#else
    uint32_t bits = 0;
    for (int i = 0; i < CYD_L64; i++) bits |= (uint32_t)(where[i] & 1) << i;
    return bits;
#endif
}

CYD_INLINE uint32_t cyd_bits_f32v(cyd_i32v where) {
#if CYD_BYTES == 64
    return (uint32_t)_mm512_movepi32_mask((__m512i)where);
#elif CYD_BYTES == 32
    return (uint32_t)_mm256_movemask_ps((__m256)where);
#elif defined(__SSE2__)
    return (uint32_t)_mm_movemask_ps((__m128)where);
#else
    uint32_t bits = 0;
    for (int i = 0; i < CYD_L32; i++) bits |= (uint32_t)(where[i] & 1) << i;
    return bits;
#endif
}

/* The greater and the lesser, lane by lane; b where one of them is NaN. */
#if CYD_BYTES == 64
#define CYD_OF_TWO(which, type, a, b) _mm512_##which##_##type(a, b)
#elif CYD_BYTES == 32
#define CYD_OF_TWO(which, type, a, b) _mm256_##which##_##type(a, b)
#elif defined(__SSE2__)
#define CYD_OF_TWO(which, type, a, b) _mm_##which##_##type(a, b)
#endif

CYD_INLINE cyd_f32v cyd_max_f32v(cyd_f32v a, cyd_f32v b) {
#if defined(CYD_OF_TWO)
    return CYD_OF_TWO(max, ps, a, b);
#else
    const cyd_i32v where = a > b;
    return (cyd_f32v)(((cyd_i32v)a & where) | ((cyd_i32v)b & ~where));
#endif
}

CYD_INLINE cyd_f64v cyd_max_f64v(cyd_f64v a, cyd_f64v b) {
#if defined(CYD_OF_TWO)
    return CYD_OF_TWO(max, pd, a, b);
#else
    const cyd_i64v where = a > b;
    return (cyd_f64v)(((cyd_i64v)a & where) | ((cyd_i64v)b & ~where));
#endif
}

CYD_INLINE cyd_f32v cyd_min_f32v(cyd_f32v a, cyd_f32v b) {
#if defined(CYD_OF_TWO)
    return CYD_OF_TWO(min, ps, a, b);
#else
    const cyd_i32v where = a < b;
    return (cyd_f32v)(((cyd_i32v)a & where) | ((cyd_i32v)b & ~where));
#endif
}

CYD_INLINE cyd_f64v cyd_min_f64v(cyd_f64v a, cyd_f64v b) {
#if defined(CYD_OF_TWO)
    return CYD_OF_TWO(min, pd, a, b);
#else
    const cyd_i64v where = a < b;
    return (cyd_f64v)(((cyd_i64v)a & where) | ((cyd_i64v)b & ~where));
#endif
}

/* The first `size` bytes of 64, a multiple of 4, without a store that a wider load would wait for; the
 * rest becomes 0. */
CYD_INLINE void cyd_take_part(void *to, const void *from, uint64_t size) {
#if CYD_BYTES == 64
    _mm512_storeu_si512(to, _mm512_maskz_loadu_epi8(((uint64_t)1 << size) - 1, from));
#elif CYD_BYTES == 32
    const cyd_i32v lane = {0, 1, 2, 3, 4, 5, 6, 7};
    for (int i = 0; i < 64; i += 32) {
        const __m256i inside = (__m256i)(lane + i / 4 < (int)size / 4 - (cyd_i32v){0});
        const int *const p = (const int *)((const char *)from + i);
        _mm256_storeu_si256((__m256i *)((char *)to + i), _mm256_maskload_epi32(p, inside));
    }
#else
    memset(to, 0, 64);
    memcpy(to, from, size);
#endif
}

CYD_INLINE void cyd_put_part(void *to, const void *from, uint64_t size) {
#if CYD_BYTES == 64
    _mm512_mask_storeu_epi8(to, ((uint64_t)1 << size) - 1, _mm512_loadu_si512(from));
#else
    memcpy(to, from, size);
#endif
}

/* Elements of `size` bytes from p to where a vector is aligned; p is a multiple of `size`. */
CYD_INLINE uint64_t cyd_to_aligned(const void *p, uint64_t size) {
    return (-(uintptr_t)p & (CYD_BYTES - 1)) / size;
}

/* 32 elements of any type, and stores that pass the caches by: what does not fit into them is not
 * read before it is written. */
typedef struct {
    cyd_u64v lines[256 / CYD_BYTES];
} cyd_lines_t;

/* The pieces are what the elements were stored in, half vectors for 16 bits: a load of more than one
 * store wrote would wait for it to reach the cache. */
CYD_INLINE void cyd_stream_store(void *to, const cyd_lines_t *part, int size) {
    const char *from = (const char *)part;
    const int piece = size > 64 ? CYD_BYTES : CYD_BYTES / 2;
    for (int i = 0; i < size; i += piece) {
        char *p = (char *)to + i;
#if defined(__AVX512F__)
        if (piece == 64) _mm512_stream_si512((__m512i *)p, *(const __m512i *)(from + i));
#endif
#if defined(__AVX__)
        if (piece == 32) _mm256_stream_si256((__m256i *)p, *(const __m256i *)(from + i));
#endif
#if defined(__SSE2__)
        if (piece == 16) _mm_stream_si128((__m128i *)p, *(const __m128i *)(from + i));
        if (piece == 8) _mm_stream_si64((long long *)p, *(const long long *)(from + i));
#else
        memcpy(p, from + i, piece);
#endif
    }
}

/* Asks for the source of a block some blocks on, to be used once. */
CYD_INLINE void cyd_stream_ahead(const void *x, int size) {
    for (int i = 0; i < size; i += 64) __builtin_prefetch((const char *)x + CYD_AHEAD + i, 0, 0);
}

/* Asks for the start of the row that comes next: where rows are cut short the CPU does not. */
CYD_INLINE void cyd_fetch(const void *x, uint64_t size) {
    for (uint64_t i = 0; i < size && i < 2048; i += 64) __builtin_prefetch((const char *)x + i);
}

CYD_INLINE void cyd_stream_end(void) {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

/* The 32 bits that begin at bit `at`; reads the word after only where it is needed. */
CYD_INLINE uint32_t cyd_bits_at(const uint32_t *words, uint64_t at, int count) {
    const int shift = (int)(at & 31);
    uint32_t bits = words[at >> 5] >> shift;
    if (shift + count > 32) bits |= words[(at >> 5) + 1] << (32 - shift);
    return bits;
}

/* The function for what p points to, of those that end in the name of its type. */
#define CYD_REAL(name, p)                                                                        \
    _Generic((p), float *: name##_f32, const float *: name##_f32, double *: name##_f64,          \
             const double *: name##_f64)
#define CYD_ELEMENT(name, p)                                                                     \
    _Generic((p), cyd_f16 *: name##_f16, cyd_bf16 *: name##_bf16, float *: name##_f32,           \
             double *: name##_f64)

#endif
