# y = f x, with f a function of one standard variate for each element: normal or logistic.

cdef enum:
    CHUNK = 64         # words of 16 Philox blocks


cdef const float *draw_variates(const noise_t *noise, uint64_t tile, uint64_t left,
                                float *v) noexcept nogil:
    """The variates of a tile of the slice, within the chunks that hold it."""
    cdef uint64_t first = noise.offset + tile * TILE
    cdef uint64_t shift = first % CHUNK
    variates(noise.key, noise.draw, first // CHUNK, (shift + left + CHUNK - 1) // CHUNK,
             noise.logistic, v)
    return v + shift


cdef void variates_range(const void *x, float *y, const noise_t *noise, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """The variates themselves, of the tiles [begin, end)."""
    cdef float v[TILE + CHUNK]
    cdef uint64_t tile, at, left
    for tile in range(begin, end):
        at = tile * TILE
        left = min(<uint64_t>TILE, noise.size - at)
        memcpy(y + at, draw_variates(noise, tile, left, v), left * sizeof(float))


cdef void noise_words(element *y, const element *x, const float *v, const noise_t *noise,
                      uint64_t phase, uint64_t count) noexcept nogil:
    cdef uint64_t step = 32 if noise.period else 0
    if element is f16:
        noise_f16(y, x, v, noise.theta32 + phase, noise.stride, step, <float>noise.sharpness,
                  count, noise.logistic)
    elif element is bf16:
        noise_bf16(y, x, v, noise.theta32 + phase, noise.stride, step, <float>noise.sharpness,
                   count, noise.logistic)
    elif element is float:
        noise_f32(y, x, v, noise.theta32 + phase, noise.stride, step, <float>noise.sharpness,
                  count, noise.logistic)
    else:
        noise_f64(y, x, v, noise.theta64 + phase, noise.stride, step, noise.sharpness, count,
                  noise.logistic)


cdef void back_words(element *dx, void *total, uint64_t column, const element *dy,
                     const element *x, const float *v, const noise_t *noise, uint64_t phase,
                     uint64_t count) noexcept nogil:
    cdef uint64_t step = 32 if noise.period else 0
    if element is f16:
        noise_back_f16(dx, <float*>total + column, dy, x, v, noise.theta32 + phase, noise.stride,
                       step, <float>noise.sharpness, count, noise.logistic)
    elif element is bf16:
        noise_back_bf16(dx, <float*>total + column, dy, x, v, noise.theta32 + phase,
                        noise.stride, step, <float>noise.sharpness, count, noise.logistic)
    elif element is float:
        noise_back_f32(dx, <float*>total + column, dy, x, v, noise.theta32 + phase, noise.stride,
                       step, <float>noise.sharpness, count, noise.logistic)
    else:
        noise_back_f64(dx, <double*>total + column, dy, x, v, noise.theta64 + phase,
                       noise.stride, step, noise.sharpness, count, noise.logistic)


cdef void noise_range(const element *x, element *y, const noise_t *noise, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """The tiles [begin, end)."""
    cdef float buffer[TILE + CHUNK]
    cdef const float *v
    cdef element part[32]
    cdef uint64_t tile, at, left, whole, phase = 0
    for tile in range(begin, end):
        at = tile * TILE
        left = min(<uint64_t>TILE, noise.size - at)
        v = draw_variates(noise, tile, left, buffer)
        if noise.period:
            phase = at % noise.period
        noise_words[element](y + at, x + at, v, noise, phase, left // 32)
        whole = left // 32 * 32
        left %= 32
        if left:
            memset(part, 0, sizeof(part))
            memcpy(part, x + at + whole, left * sizeof(element))
            noise_words[element](
                part, part, v + whole, noise, phase + (whole if noise.period else 0), 1)
            memcpy(y + at + whole, part, left * sizeof(element))


cdef void noise_back_tiles(const element *dy, element *dx, void *total, const noise_t *noise,
                           uint64_t begin, uint64_t end) noexcept nogil:
    """dx = f dy; total[column] += dy x df/dtheta, folded by the caller as that of a bias is."""
    cdef const element *x = <const element*>noise.x
    cdef float buffer[TILE + CHUNK]
    cdef const float *v
    cdef element part_x[32]
    cdef element part_g[32]
    cdef uint64_t tile, at, left, whole, column, phase = 0
    for tile in range(begin, end):
        at = tile * TILE
        left = min(<uint64_t>TILE, noise.size - at)
        v = draw_variates(noise, tile, left, buffer)
        column = at % noise.sums.columns
        if noise.period:
            phase = at % noise.period
        back_words[element](
            dx + at, total, column, dy + at, x + at, v, noise, phase, left // 32)
        whole = left // 32 * 32
        left %= 32
        if left:
            memset(part_x, 0, sizeof(part_x))
            memset(part_g, 0, sizeof(part_g))
            memcpy(part_x, x + at + whole, left * sizeof(element))
            memcpy(part_g, dy + at + whole, left * sizeof(element))
            back_words[element](
                part_g, total, column + whole, part_g, part_x, v + whole, noise,
                phase + (whole if noise.period else 0), 1)
            memcpy(dx + at + whole, part_g, left * sizeof(element))


cdef void noise_back_range(const element *dy, element *dx, const noise_t *noise, uint64_t begin,
                           uint64_t end) noexcept nogil:
    """The chunks [begin, end) of the tiles, each with the totals of its own."""
    cdef uint64_t chunk
    for chunk in range(begin, end):
        noise_back_tiles[element](
            dy, dx, chunk_totals(&noise.sums, chunk), noise, chunk_tile(&noise.sums, chunk),
            chunk_tile(&noise.sums, chunk + 1))
