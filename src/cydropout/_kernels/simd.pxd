from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "simd/simd.h" nogil:
    # 16 bits each; of two types, or a fused type could not tell them apart.
    ctypedef unsigned short f16 "cyd_f16"
    ctypedef short bf16 "cyd_bf16"

    void digit "cyd_digit"(
        uint64_t key, uint64_t draw, uint64_t tile, uint32_t j, uint32_t *words) noexcept
    void tile_keep "cyd_tile_keep"(
        uint64_t key, uint64_t draw, uint64_t tile, uint64_t q, int digits, const uint32_t *own,
        uint64_t own_stride, int own_shift, uint32_t *words) noexcept
    ctypedef struct lines_t "cyd_lines_t":
        pass
    uint64_t to_aligned "cyd_to_aligned"(const void *p, uint64_t size) noexcept
    void stream_ahead "cyd_stream_ahead"(const void *x, int size) noexcept
    void stream_store "cyd_stream_store"(void *to, const lines_t *part, int size) noexcept
    void fetch "cyd_fetch"(const void *x, uint64_t size) noexcept
    void stream_end "cyd_stream_end"() noexcept
    uint32_t bits_at "cyd_bits_at"(const uint32_t *words, uint64_t at, int count) noexcept

    void spread_up "cyd_spread"(uint32_t *words, uint64_t count, uint64_t shift) noexcept
    uint64_t count_ones "cyd_count"(const uint32_t *words, uint64_t at, uint64_t count) noexcept
    uint32_t repeat_bits "cyd_repeat_bits"(uint32_t bits, uint64_t times) noexcept
