# y = scale * x where kept, else 0.

ctypedef fused element:
    f16
    bf16
    float
    double

cdef void apply_word(element *y, const element *x, const mask_t *mask, uint64_t phase,
                     uint32_t bits) noexcept nogil:
    if element is f16:
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
    apply_word[element](part, part, mask, phase, bits)
    memcpy(y, part, count * sizeof(element))


cdef void cached_range(const element *x, element *y, const mask_t *mask, uint64_t begin,
                       uint64_t end) noexcept nogil:
    cdef cursor_t cursor
    cdef const uint32_t *words
    cdef uint64_t tile, at, left, phase = 0, step = 32 if mask.period else 0
    cdef uint64_t word
    cursor.has_above = False
    for tile in range(begin, end):
        words = tile_words(mask, tile, &cursor)
        at = tile * TILE
        left = min(<uint64_t>TILE, mask.size - at)
        if mask.period:
            phase = at % mask.period
        for word in range(left // 32):
            apply_word[element](
                y + at + 32 * word, x + at + 32 * word, mask, phase + step * word, words[word])
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


cdef void apply_span(element *y, const element *x, const mask_t *mask, uint64_t bit,
                     uint64_t count) noexcept nogil:
    """`count` elements, whose bits begin anywhere."""
    cdef uint64_t phase = 0, done = 0, left
    while count - done >= 32:
        if mask.period:
            phase = (bit + done) % mask.period
        apply_word[element](y + done, x + done, mask, phase, bits_at(mask.bits, bit + done, 32))
        done += 32
    left = count - done
    if left:
        if mask.period:
            phase = (bit + done) % mask.period
        apply_part[element](
            y + done, x + done, mask, phase, bits_at(mask.bits, bit + done, <int>left), left)


cdef void apply_same(element *y, const element *x, const mask_t *mask, uint64_t bit,
                     uint64_t count) noexcept nogil:
    """`count` elements that share one bit and one scale."""
    cdef float scale32[32]
    cdef double scale64[32]
    cdef mask_t same
    cdef uint64_t phase
    cdef uint64_t done = 0
    cdef int i
    if not (mask.bits[bit // 32] >> (bit % 32)) & 1:
        memset(y, 0, count * sizeof(element))
        return
    same.scale32 = mask.scale32
    same.scale64 = mask.scale64
    if mask.period:
        phase = bit % mask.period
        for i in range(32):
            scale32[i] = mask.scale32[phase]
            scale64[i] = mask.scale64[phase]
        same.scale32 = scale32
        same.scale64 = scale64
    while count - done >= 32:
        apply_word[element](y + done, x + done, &same, 0, <uint32_t>0xffffffff)
        done += 32
    if count > done:
        apply_part[element](y + done, x + done, &same, 0, <uint32_t>0xffffffff, count - done)


cdef void apply_rows(const element *x, element *y, const mask_t *mask, const rows_t *rows,
                     uint64_t begin, uint64_t end) noexcept nogil:
    """The units [begin, end) of rows that lie over a stored mask of fewer axes."""
    cdef uint64_t units = (rows.length + rows.span - 1) // rows.span
    cdef uint64_t unit, row, column, count, rest, bit
    cdef int axis
    for unit in range(begin, end):
        row = unit // units
        column = (unit % units) * rows.span
        count = min(rows.span, rows.length - column)
        rest = row
        bit = 0
        for axis in range(rows.axes - 1, -1, -1):
            bit += (rest % rows.sizes[axis]) * rows.strides[axis]
            rest //= rows.sizes[axis]
        if rows.shared:
            apply_same[element](
                y + row * rows.length + column, x + row * rows.length + column, mask, bit, count)
        else:
            apply_span[element](
                y + row * rows.length + column, x + row * rows.length + column, mask, bit +
                column, count)
