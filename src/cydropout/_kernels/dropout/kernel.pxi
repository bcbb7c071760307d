# y = scale * x where kept, else 0; of an affine map, scale * x + shift, else `dropped`.

cdef extern from "simd/simd.h" nogil:
    # Of the dtype that the first argument has, as other functions declared so.
    void apply "cyd_apply"(...) noexcept
    void affine "cyd_affine"(...) noexcept


ctypedef fused element:
    f16
    bf16
    float
    double

cdef inline const void *scales_at(const element *x, const mask_t *mask,
                                  uint64_t phase) noexcept nogil:
    if element is double:
        return mask.scale64 + phase
    else:
        return mask.scale32 + phase


cdef void apply_word(element *y, const element *x, const mask_t *mask, uint64_t phase,
                     uint32_t bits, bint is_affine) noexcept nogil:
    # A loop passes its own copy of mask.affine, which the compiler then asks for once.
    if is_affine:
        affine(y, x, scales_at(x, mask, phase), bits, mask.shift, mask.dropped)
    else:
        apply(y, x, scales_at(x, mask, phase), bits)


cdef void apply_part(element *y, const element *x, const mask_t *mask, uint64_t phase,
                     uint32_t bits, uint64_t count) noexcept nogil:
    """`apply_word` for the first `count` of 32 elements; the others are not touched."""
    cdef element part[32]
    memcpy(part, x, count * sizeof(element))
    memset(part + count, 0, (32 - count) * sizeof(element))
    apply_word[element](part, part, mask, phase, bits, mask.affine)
    memcpy(y, part, count * sizeof(element))


cdef void cached_range(const element *x, element *y, const mask_t *mask, uint64_t begin,
                       uint64_t end) noexcept nogil:
    cdef cursor_t cursor
    cdef const uint32_t *words
    cdef uint64_t tile, at, left, phase = 0, step = 32 if mask.period else 0
    cdef uint64_t word
    cdef bint is_affine = mask.affine
    cursor.has_above = False
    for tile in range(begin, end):
        words = tile_words(mask, tile, &cursor)
        at = tile * TILE
        left = min(<uint64_t>TILE, mask.size - at)
        if mask.period:
            phase = at % mask.period
        for word in range(left // 32):
            apply_word[element](
                y + at + 32 * word, x + at + 32 * word, mask, phase + step * word, words[word],
                is_affine)
        word = left // 32
        if left % 32:
            apply_part[element](
                y + at + 32 * word, x + at + 32 * word, mask, phase + step * word, words[word],
                left % 32)


cdef void apply_range(const element *x, element *y, const mask_t *mask, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """The tiles [begin, end), their bits drawn on the way where they are not stored."""
    if mask.stream:
        stream_range[element](x, y, mask, begin, end)
    else:
        cached_range[element](x, y, mask, begin, end)


elements(DROPOUT, <kernel_fn>apply_range[f16], <kernel_fn>apply_range[bf16],
         <kernel_fn>apply_range[float], <kernel_fn>apply_range[double])
