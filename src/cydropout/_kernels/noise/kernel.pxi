# y = f x, with f a function of one standard variate for each element: normal or logistic.

include "settings.pxi"

cdef extern from "simd/simd.h" nogil:
    void variates "cyd_variates"(
        uint64_t key, uint64_t draw, uint64_t first, uint64_t chunks, int logistic,
        float *v) noexcept
    void noise_parts "cyd_noise_parts"(...) noexcept
    void multiply "cyd_noise"(...) noexcept
    void multiply_back "cyd_noise_back"(...) noexcept


cdef enum:
    CHUNK = 64         # words of 16 Philox blocks


cdef const float *draw_variates(const noise_t *noise, uint64_t tile, uint64_t left,
                                float *v) noexcept nogil:
    """The variates of the words of a tile of the slice, within the chunks that hold them."""
    cdef uint64_t first = noise.offset + tile * TILE
    cdef uint64_t shift = first % CHUNK
    variates(noise.key, noise.draw, first // CHUNK,
             (shift + (left + 31) // 32 * 32 + CHUNK - 1) // CHUNK, noise.logistic, v)
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


# What the factors of a tile are made of, where it is not held.
ctypedef struct parts_t:
    float variates[TILE + CHUNK]
    double made[TILE]


cdef inline uint64_t part_size(const noise_t *noise, bint wide) noexcept nogil:
    return 8 if wide and noise.logistic else 4


cdef const char *tile_parts(const noise_t *noise, uint64_t tile, uint64_t left, uint64_t phase,
                            bint wide, parts_t *parts) noexcept nogil:
    """The parts of a tile: as they are held, or from its variates, to be held where wanted."""
    cdef uint64_t count = (left + 31) // 32, step = 32 if noise.period else 0
    cdef char *held = <char*>noise.held + tile * TILE * part_size(noise, wide)
    cdef const float *v
    if noise.source == STORED:
        return held
    if not noise.logistic and noise.source == DRAW_AND_STORE:
        if left == TILE and noise.offset % CHUNK == 0:
            return <const char*>draw_variates(noise, tile, left, <float*>held)
        v = draw_variates(noise, tile, left, parts.variates)
        memcpy(held, v, 32 * count * sizeof(float))
        return held
    v = draw_variates(noise, tile, left, parts.variates)
    if not noise.logistic:
        return <const char*>v
    if noise.source == DRAW:
        held = <char*>parts.made
    if wide:
        noise_parts(<double*>held, v, noise.theta64 + phase, step, noise.sharpness, count)
    else:
        noise_parts(<float*>held, v, noise.theta32 + phase, step, noise.sharpness, count)
    return held


cdef inline const void *thetas_at(const element *x, const noise_t *noise,
                                  uint64_t phase) noexcept nogil:
    if element is double:
        return noise.theta64 + phase
    else:
        return noise.theta32 + phase


cdef void noise_words(element *y, const element *x, const char *parts, const noise_t *noise,
                      uint64_t phase, uint64_t count) noexcept nogil:
    multiply(y, x, parts, thetas_at(x, noise, phase), noise.stride, 32 if noise.period else 0,
             noise.sharpness, count, noise.logistic)


cdef void back_words(element *dx, void *total, uint64_t column, const element *dy,
                     const element *x, const char *parts, const noise_t *noise, uint64_t phase,
                     uint64_t count) noexcept nogil:
    cdef uint64_t size = 8 if element is double else 4
    multiply_back(dx, <void*>(<char*>total + column * size), dy, x, parts,
                  thetas_at(x, noise, phase), noise.stride, 32 if noise.period else 0,
                  noise.sharpness, count, noise.logistic)


cdef void noise_range(const element *x, element *y, const noise_t *noise, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """The tiles [begin, end)."""
    cdef parts_t buffer
    cdef const char *parts
    cdef bint wide = element is double
    cdef uint64_t size = part_size(noise, wide)
    cdef element part[32]
    cdef uint64_t tile, at, left, whole, phase = 0
    for tile in range(begin, end):
        at = tile * TILE
        left = min(<uint64_t>TILE, noise.size - at)
        if noise.period:
            phase = at % noise.period
        parts = tile_parts(noise, tile, left, phase, wide, &buffer)
        noise_words[element](y + at, x + at, parts, noise, phase, left // 32)
        whole = left // 32 * 32
        left %= 32
        if left:
            memset(part, 0, sizeof(part))
            memcpy(part, x + at + whole, left * sizeof(element))
            noise_words[element](
                part, part, parts + whole * size, noise, phase + (whole if noise.period else 0), 1)
            memcpy(y + at + whole, part, left * sizeof(element))


cdef void noise_back_tiles(const element *dy, element *dx, void *total, const noise_t *noise,
                           uint64_t begin, uint64_t end) noexcept nogil:
    """dx = f dy; total[column] += dy x df/dtheta, folded by the caller as that of a bias is."""
    cdef const element *x = <const element*>noise.x
    cdef parts_t buffer
    cdef const char *parts
    cdef bint wide = element is double
    cdef uint64_t size = part_size(noise, wide)
    cdef element part_x[32]
    cdef element part_g[32]
    cdef uint64_t tile, at, left, whole, column, phase = 0
    for tile in range(begin, end):
        at = tile * TILE
        left = min(<uint64_t>TILE, noise.size - at)
        column = at % noise.sums.columns
        if noise.period:
            phase = at % noise.period
        parts = tile_parts(noise, tile, left, phase, wide, &buffer)
        back_words[element](
            dx + at, total, column, dy + at, x + at, parts, noise, phase, left // 32)
        whole = left // 32 * 32
        left %= 32
        if left:
            memset(part_x, 0, sizeof(part_x))
            memset(part_g, 0, sizeof(part_g))
            memcpy(part_x, x + at + whole, left * sizeof(element))
            memcpy(part_g, dy + at + whole, left * sizeof(element))
            back_words[element](
                part_g, total, column + whole, part_g, part_x, parts + whole * size, noise,
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


any_dtype(VARIATES, <kernel_fn>variates_range)
elements(NOISE, <kernel_fn>noise_range[f16], <kernel_fn>noise_range[bf16],
         <kernel_fn>noise_range[float], <kernel_fn>noise_range[double])
elements(NOISE_BACKWARD, <kernel_fn>noise_back_range[f16], <kernel_fn>noise_back_range[bf16],
         <kernel_fn>noise_back_range[float], <kernel_fn>noise_back_range[double])
