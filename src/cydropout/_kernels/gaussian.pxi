# y = (1 + sigma n) x, with n standard normal.

cdef enum:
    CHUNK = 64         # words of 16 Philox blocks


cdef void multiply_word(element *y, const element *x, const float *m) noexcept nogil:
    if element is f16:
        multiply_f16(y, x, m)
    elif element is bf16:
        multiply_bf16(y, x, m)
    elif element is float:
        multiply_f32(y, x, m)
    else:
        multiply_f64(y, x, m)


cdef void draw_noise(const noise_t *noise, uint64_t tile, uint64_t left, float *m) noexcept nogil:
    """m[i] = 1 + sigma n for the chunks that hold the tile."""
    cdef uint64_t first = noise.offset + tile * TILE
    cdef uint64_t shift = first % CHUNK, chunk
    cdef const float *sigma = noise.sigma
    for chunk in range((shift + left + CHUNK - 1) // CHUNK):
        if noise.period:
            # The sigmas belong to the slice, which begins within a chunk.
            sigma = noise.sigma + (
                tile * TILE + CHUNK * (chunk + noise.period) - shift) % noise.period
        gaussian(noise.key, noise.draw, first // CHUNK + chunk, sigma, m + CHUNK * chunk)


cdef void noise_range(const element *x, element *y, const noise_t *noise, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """The tiles [begin, end); without an x, the float32 factors themselves."""
    cdef float m[TILE + CHUNK]
    cdef const float *factors
    cdef element part[32]
    cdef uint64_t tile, at, left, word
    for tile in range(begin, end):
        at = tile * TILE
        left = min(<uint64_t>TILE, noise.size - at)
        draw_noise(noise, tile, left, m)
        factors = m + (noise.offset + at) % CHUNK
        if x == NULL:
            memcpy(y + at, factors, left * sizeof(float))
            continue
        for word in range(left // 32):
            multiply_word[element](y + at + 32 * word, x + at + 32 * word, factors + 32 * word)
        word = left // 32
        left %= 32
        if left:
            memset(part, 0, sizeof(part))
            memcpy(part, x + at + 32 * word, left * sizeof(element))
            multiply_word[element](part, part, factors + 32 * word)
            memcpy(y + at + 32 * word, part, left * sizeof(element))
