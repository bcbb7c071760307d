# y = scale * x where kept, else 0; of an affine map, scale * x + shift, else `dropped`.

ctypedef fused element:
    f16
    bf16
    float
    double

cdef void affine_word(element *y, const element *x, const mask_t *mask, uint64_t phase,
                      uint32_t bits) noexcept nogil:
    if element is f16:
        affine_f16(y, x, mask.scale32 + phase, bits, <float>mask.shift, <float>mask.dropped)
    elif element is bf16:
        affine_bf16(y, x, mask.scale32 + phase, bits, <float>mask.shift, <float>mask.dropped)
    elif element is float:
        affine_f32(y, x, mask.scale32 + phase, bits, <float>mask.shift, <float>mask.dropped)
    else:
        affine_f64(y, x, mask.scale64 + phase, bits, mask.shift, mask.dropped)


cdef void apply_word(element *y, const element *x, const mask_t *mask, uint64_t phase,
                     uint32_t bits, bint affine) noexcept nogil:
    # A loop passes its own copy of mask.affine, which the compiler then asks for once.
    if affine:
        affine_word[element](y, x, mask, phase, bits)
    elif element is f16:
        apply_f16(y, x, mask.scale32 + phase, bits)
    elif element is bf16:
        apply_bf16(y, x, mask.scale32 + phase, bits)
    elif element is float:
        apply_f32(y, x, mask.scale32 + phase, bits)
    else:
        apply_f64(y, x, mask.scale64 + phase, bits)


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
    cdef bint affine = mask.affine
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
                affine)
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
