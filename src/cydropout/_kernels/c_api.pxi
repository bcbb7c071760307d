# The C API of api.pxd.

cdef uint64_t keep_threshold(double rate) noexcept nogil:
    if not rate > 0:
        return <uint64_t>1 << 32
    return <uint64_t>rint((1.0 - min(rate, 1.0)) * 4294967296.0)


cdef int count_digits(uint64_t q) noexcept nogil:
    cdef int digits = 32
    q = <uint32_t>q
    while digits and not (q >> (32 - digits)) & 1:
        digits -= 1
    return digits


cdef void set_scale(mask_t *mask, float *scale32, double *scale64, double scale) noexcept nogil:
    cdef int i
    for i in range(32):
        scale32[i] = <float>scale
        scale64[i] = scale
    mask.scale32 = scale32
    mask.scale64 = scale64


cdef void draw_bits(uint64_t key, uint64_t draw, uint64_t offset, uint64_t size, double rate,
                    uint32_t *bits, int num_threads) noexcept nogil:
    cdef mask_t mask
    memset(&mask, 0, sizeof(mask))
    mask.key, mask.draw, mask.offset, mask.size = key, draw, offset, size
    mask.q = keep_threshold(rate)
    mask.digits = count_digits(mask.q)
    mask.bits = bits
    mask.source = DRAW_AND_STORE
    run_draw(&mask, num_threads)


cdef void apply_bits(const void *x, const uint32_t *bits, uint64_t size, dtype_t dtype,
                     double scale, void *y, int num_threads) noexcept nogil:
    cdef mask_t mask
    cdef float scale32[32]
    cdef double scale64[32]
    memset(&mask, 0, sizeof(mask))
    mask.size = size
    mask.bits = <uint32_t*>bits
    mask.source = STORED
    set_scale(&mask, scale32, scale64, scale)
    run_apply(&mask, x, y, dtype, num_threads)


cdef void apply_dropout(uint64_t key, uint64_t draw, uint64_t offset, double rate,
                        const void *x, uint64_t size, dtype_t dtype, void *y,
                        int num_threads) noexcept nogil:
    cdef mask_t mask
    cdef float scale32[32]
    cdef double scale64[32]
    memset(&mask, 0, sizeof(mask))
    mask.key, mask.draw, mask.offset, mask.size = key, draw, offset, size
    mask.q = keep_threshold(rate)
    mask.digits = count_digits(mask.q)
    mask.source = DRAW
    set_scale(&mask, scale32, scale64, 4294967296.0 / mask.q if mask.q else 0.0)
    run_apply(&mask, x, y, dtype, num_threads)
