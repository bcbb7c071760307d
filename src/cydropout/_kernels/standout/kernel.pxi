# Standout: an activation that is kept with a probability of its own.

include "settings.pxi"

cdef extern from "simd/simd.h" nogil:
    void standout "cyd_standout"(...) noexcept
    void standout_back "cyd_standout_back"(...) noexcept


cdef void standout_words(real *y, const real *z, const real *r, const standout_t *s,
                         uint32_t *bits, const uint32_t *draws, uint64_t count) noexcept nogil:
    standout(y, z, r, s.a, s.b, bits, draws, count, s.mean, s.kind)


cdef void standout_back_words(real *dz, real *dr, const real *dy, const real *z, const real *r,
                              const standout_t *s, uint32_t *bits, uint64_t count) noexcept nogil:
    standout_back(dz, dr, dy, z, r, s.a, s.b, bits, count, s.mean, s.kind)


cdef void standout_range(const real *z, real *y, const standout_t *s, uint64_t begin,
                         uint64_t end) noexcept nogil:
    """y = act(z) where kept, else 0, for the tiles [begin, end); writes the bits it draws.

    Element i is kept if word i % 4 of Philox block i // 4 is below 2**32 sigmoid(a r + b).
    """
    cdef const real *r = <const real*>s.r
    cdef uint32_t words[TILE]
    cdef uint32_t *draws = words if s.drawn else NULL
    cdef uint32_t *bits
    cdef real part_z[32]
    cdef real part_r[32]
    cdef uint64_t tile, at, left, whole, chunk
    for tile in range(begin, end):
        at = tile * TILE
        left = min(<uint64_t>TILE, s.size - at)
        if s.drawn:
            for chunk in range((left + CHUNK - 1) // CHUNK):
                digit(s.key, s.draw, at // CHUNK + chunk, 0, words + CHUNK * chunk)
        bits = NULL if s.mean else s.bits + at // 32
        standout_words[real](y + at, z + at, r + at, s, bits, draws, left // 32)
        whole = left // 32 * 32
        left %= 32
        if left:
            memset(part_z, 0, sizeof(part_z))
            memset(part_r, 0, sizeof(part_r))
            memcpy(part_z, z + at + whole, left * sizeof(real))
            memcpy(part_r, r + at + whole, left * sizeof(real))
            if not s.mean:
                bits += whole // 32
            standout_words[real](
                part_z, part_z, part_r, s, bits, draws + whole if s.drawn else NULL, 1)
            if s.drawn:
                bits[0] &= (<uint32_t>1 << left) - 1
            memcpy(y + at + whole, part_z, left * sizeof(real))


cdef void standout_back_range(const real *dy, real *dz, const standout_t *s, uint64_t begin,
                              uint64_t end) noexcept nogil:
    """dz and dr as standout.h says, for the tiles [begin, end)."""
    cdef const real *z = <const real*>s.z
    cdef const real *r = <const real*>s.r
    cdef real *dr = <real*>s.dr
    cdef uint32_t *bits
    cdef real parts[4][32]
    cdef uint64_t tile, at, left, whole
    for tile in range(begin, end):
        at = tile * TILE
        left = min(<uint64_t>TILE, s.size - at)
        bits = NULL if s.mean else s.bits + at // 32
        standout_back_words[real](
            dz + at, dr + at if dr else NULL, dy + at, z + at, r + at, s, bits, left // 32)
        whole = left // 32 * 32
        left %= 32
        if left:
            memset(parts, 0, sizeof(parts))
            memcpy(parts[0], dy + at + whole, left * sizeof(real))
            memcpy(parts[1], z + at + whole, left * sizeof(real))
            memcpy(parts[2], r + at + whole, left * sizeof(real))
            standout_back_words[real](
                parts[0], parts[3] if dr else NULL, parts[0], parts[1], parts[2], s,
                NULL if s.mean else bits + whole // 32, 1)
            memcpy(dz + at + whole, parts[0], left * sizeof(real))
            if dr:
                memcpy(dr + at + whole, parts[3], left * sizeof(real))


reals(STANDOUT, <kernel_fn>standout_range[float], <kernel_fn>standout_range[double])
reals(STANDOUT_BACKWARD, <kernel_fn>standout_back_range[float],
      <kernel_fn>standout_back_range[double])
