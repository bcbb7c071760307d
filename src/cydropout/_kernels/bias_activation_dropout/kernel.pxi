# Bias, activation and dropout in one pass, and its backward with the bias gradient.

cdef extern from "simd/simd.h" nogil:
    void forward "cyd_forward"(...) noexcept
    void backward "cyd_backward"(...) noexcept


ctypedef fused real:
    float
    double

cdef void forward_words(real *y, const real *z, const fused_t *fused, uint64_t column,
                        const mask_t *mask, uint64_t phase, const uint32_t *words,
                        uint64_t count) noexcept nogil:
    cdef const real *bias = <const real*>fused.bias + column
    cdef uint64_t step = 32 if mask.period else 0
    forward(y, z, bias, scales_at(z, mask, phase), step, words, count, fused.kind, fused.a)


cdef void backward_words(real *dz, real *total, const real *dy, const real *z,
                         const fused_t *fused, uint64_t column, const mask_t *mask,
                         uint64_t phase, const uint32_t *words, uint64_t count) noexcept nogil:
    cdef const real *bias = <const real*>fused.bias + column
    cdef uint64_t step = 32 if mask.period else 0
    backward(dz, total + column, dy, z, bias, scales_at(z, mask, phase), step, words, count,
             fused.kind, fused.a)


cdef void forward_range(const real *z, real *y, const fused_t *fused, uint64_t begin,
                        uint64_t end) noexcept nogil:
    """y = scale * act(z + bias) where kept, else 0, for the tiles [begin, end)."""
    cdef const mask_t *mask = fused.mask
    cdef cursor_t cursor
    cdef const uint32_t *words
    cdef real part[32]
    cdef uint64_t tile, at, left, whole, column, phase = 0
    cursor.has_above = False
    for tile in range(begin, end):
        words = tile_words(mask, tile, &cursor)
        at = tile * TILE
        left = min(<uint64_t>TILE, mask.size - at)
        column = at % fused.columns
        if mask.period:
            phase = at % mask.period
        forward_words[real](y + at, z + at, fused, column, mask, phase, words, left // 32)
        whole = left // 32 * 32
        left %= 32
        if left:
            memset(part, 0, sizeof(part))
            memcpy(part, z + at + whole, left * sizeof(real))
            forward_words[real](
                part, part, fused, column + whole, mask, phase + (whole if mask.period else 0),
                words + whole // 32, 1)
            memcpy(y + at + whole, part, left * sizeof(real))


cdef void backward_tiles(const real *dy, real *dz, real *total, const fused_t *fused,
                         uint64_t begin, uint64_t end) noexcept nogil:
    """dz = scale * dy * act'(z + bias) where kept, else 0; total[column] += dz.

    `total` has `columns` elements and a tile: element i adds at (start of its tile) % columns
    plus its place in the tile, so that the caller folds what lies past the columns.
    """
    cdef const mask_t *mask = fused.mask
    cdef const real *z = <const real*>fused.z
    cdef cursor_t cursor
    cdef const uint32_t *words
    cdef uint32_t last
    cdef real part_z[32]
    cdef real part_g[32]
    cdef uint64_t tile, at, left, whole, column, phase = 0
    cursor.has_above = False
    for tile in range(begin, end):
        words = tile_words(mask, tile, &cursor)
        at = tile * TILE
        left = min(<uint64_t>TILE, mask.size - at)
        column = at % fused.columns
        if mask.period:
            phase = at % mask.period
        backward_words[real](
            dz + at, total, dy + at, z + at, fused, column, mask, phase, words, left // 32)
        whole = left // 32 * 32
        left %= 32
        if left:
            memset(part_z, 0, sizeof(part_z))
            memset(part_g, 0, sizeof(part_g))
            memcpy(part_z, z + at + whole, left * sizeof(real))
            memcpy(part_g, dy + at + whole, left * sizeof(real))
            last = words[whole // 32] & ((<uint32_t>1 << left) - 1)
            backward_words[real](
                part_g, total, part_g, part_z, fused, column + whole, mask,
                phase + (whole if mask.period else 0), &last, 1)
            memcpy(dz + at + whole, part_g, left * sizeof(real))


cdef void backward_range(const real *dy, real *dz, const fused_t *fused, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """The chunks [begin, end) of the tiles, each with the totals of its own."""
    cdef uint64_t chunk
    for chunk in range(begin, end):
        backward_tiles[real](
            dy, dz, <real*>chunk_totals(&fused.sums, chunk), fused,
            chunk_tile(&fused.sums, chunk), chunk_tile(&fused.sums, chunk + 1))


reals(BIAS_ACTIVATION_DROPOUT, <kernel_fn>forward_range[float], <kernel_fn>forward_range[double])
reals(BIAS_ACTIVATION_DROPOUT_BACKWARD, <kernel_fn>backward_range[float],
      <kernel_fn>backward_range[double])
