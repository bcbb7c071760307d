# Bias, activation and dropout in one pass, and its backward with the bias gradient.

ctypedef fused real:
    float
    double

cdef void forward_word(real *y, const real *z, const fused_t *fused, uint64_t column,
                       const mask_t *mask, uint64_t phase, uint32_t bits) noexcept nogil:
    cdef const real *bias = <const real*>fused.bias + column
    if real is float:
        forward_f32(y, z, bias, mask.scale32 + phase, bits, fused.kind, <float>fused.a)
    else:
        forward_f64(y, z, bias, mask.scale64 + phase, bits, fused.kind, fused.a)


cdef void backward_word(real *dz, real *total, const real *dy, const real *z,
                        const fused_t *fused, uint64_t column, const mask_t *mask,
                        uint64_t phase, uint32_t bits) noexcept nogil:
    cdef const real *bias = <const real*>fused.bias + column
    if real is float:
        backward_f32(dz, total + column, dy, z, bias, mask.scale32 + phase, bits, fused.kind,
                     <float>fused.a)
    else:
        backward_f64(dz, total + column, dy, z, bias, mask.scale64 + phase, bits, fused.kind,
                     fused.a)


cdef void forward_range(const real *z, real *y, const mask_t *mask, const fused_t *fused,
                        uint64_t begin, uint64_t end) noexcept nogil:
    """y = scale * act(z + bias) where kept, else 0, for the tiles [begin, end)."""
    cdef cursor_t cursor
    cdef const uint32_t *words
    cdef real part[32]
    cdef uint64_t tile, at, left, word, column, phase = 0, step = 32 if mask.period else 0
    cursor.has_above = False
    for tile in range(begin, end):
        words = tile_words(mask, tile, &cursor)
        at = tile * TILE
        left = min(<uint64_t>TILE, mask.size - at)
        column = at % fused.columns
        if mask.period:
            phase = at % mask.period
        for word in range(left // 32):
            forward_word[real](
                y + at + 32 * word, z + at + 32 * word, fused, column + 32 * word, mask, phase +
                step * word, words[word])
        word = left // 32
        left %= 32
        if left:
            memset(part, 0, sizeof(part))
            memcpy(part, z + at + 32 * word, left * sizeof(real))
            forward_word[real](
                part, part, fused, column + 32 * word, mask, phase + step * word, words[word])
            memcpy(y + at + 32 * word, part, left * sizeof(real))


cdef void backward_range(const real *dy, const real *z, real *dz, real *total,
                         const mask_t *mask, const fused_t *fused, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """dz = scale * dy * act'(z + bias) where kept, else 0; total[column] += dz.

    `total` has `columns` elements and a tile: element i adds at (start of its tile) % columns
    plus its place in the tile, so that the caller folds what lies past the columns.
    """
    cdef cursor_t cursor
    cdef const uint32_t *words
    cdef real part_z[32]
    cdef real part_g[32]
    cdef uint64_t tile, at, left, word, column, phase = 0, step = 32 if mask.period else 0
    cursor.has_above = False
    for tile in range(begin, end):
        words = tile_words(mask, tile, &cursor)
        at = tile * TILE
        left = min(<uint64_t>TILE, mask.size - at)
        column = at % fused.columns
        if mask.period:
            phase = at % mask.period
        for word in range(left // 32):
            backward_word[real](
                dz + at + 32 * word, total, dy + at + 32 * word, z + at + 32 * word, fused, column
                + 32 * word, mask, phase + step * word, words[word])
        word = left // 32
        left %= 32
        if left:
            memset(part_z, 0, sizeof(part_z))
            memset(part_g, 0, sizeof(part_g))
            memcpy(part_z, z + at + 32 * word, left * sizeof(real))
            memcpy(part_g, dy + at + 32 * word, left * sizeof(real))
            backward_word[real](
                part_g, total, part_g, part_z, fused, column + 32 * word, mask, phase + step *
                word, words[word] & ((<uint32_t>1 << left) - 1))
            memcpy(dz + at + 32 * word, part_g, left * sizeof(real))
