"""The C API: masks and their use over raw buffers, without the GIL; see cydropout/__init__.pxd."""

from libc.stdint cimport uint32_t, uint64_t

from cydropout._kernels.table cimport BFLOAT16, FLOAT16, FLOAT32, FLOAT64, dtype_t

# q = round((1 - rate) * 2**32): an element is kept when its 32 random bits are below q.
# A rate below 0 or NaN counts as 0, one above 1 as 1: there is nobody to raise to.
cdef uint64_t keep_threshold(double rate) noexcept nogil

# bits[i // 32] bit i % 32 = whether element `offset + i` of the draw is kept, for i < size.
# `bits` has (size + 31) // 32 words. num_threads 0: as the library decides.
cdef void draw_bits(uint64_t key, uint64_t draw, uint64_t offset, uint64_t size, double rate,
                    uint32_t *bits, int num_threads) noexcept nogil

# y = scale * x where the bit is set, else 0; y may be x.
cdef void apply_bits(const void *x, const uint32_t *bits, uint64_t size, dtype_t dtype,
                     double scale, void *y, int num_threads) noexcept nogil

# Both in one pass: y = x * 2**32 / q where kept, else 0; y may be x.
cdef void apply_dropout(uint64_t key, uint64_t draw, uint64_t offset, double rate,
                        const void *x, uint64_t size, dtype_t dtype, void *y,
                        int num_threads) noexcept nogil
