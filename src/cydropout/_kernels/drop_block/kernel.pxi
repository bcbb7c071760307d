# Keep-bits without the blocks around seeds: y = not (some seed within a block's length below).

include "settings.pxi"

cdef void place_seeds(const uint32_t *drawn, uint64_t seed, uint32_t *words, uint64_t at,
                      uint64_t count) noexcept nogil:
    """Set the bits from `at` on where those of `drawn` from `seed` on are not; few are."""
    cdef uint64_t done = 0
    cdef uint32_t bits
    cdef int part, up
    while done < count:
        part = <int>min(<uint64_t>32, count - done)
        bits = ~bits_at(drawn, seed + done, part) & <uint32_t>((<uint64_t>1 << part) - 1)
        if bits:
            up = (at + done) % 32
            words[(at + done) // 32] |= bits << up
            if up + part > 32:
                words[(at + done) // 32 + 1] |= bits >> (32 - up)
        done += part


cdef void grow(uint32_t *words, uint64_t count, uint64_t stride, uint64_t length) noexcept nogil:
    """Let every bit set the `length - 1` bits above it that are `stride` apart."""
    cdef uint64_t done = 1, more
    while done < length:
        more = min(done, length - done)
        spread_up(words, count, more * stride)
        done += more


cdef void blocks_range(const uint32_t *drawn, uint32_t *words, const blocks_t *blocks,
                       uint64_t begin, uint64_t end) noexcept nogil:
    """The units [begin, end); a seed is a bit of `drawn` that is not set.

    No block crosses the end of a row, a plane or a map, since none begins where it does not fit:
    all maps of a unit are grown together, as one string of bits.
    """
    cdef const maps_t *maps = &blocks.maps
    cdef uint64_t unit, m, i, j, first, last, seed, word
    cdef int axis
    for unit in range(begin, end):
        first = unit * maps.unit * maps.bits // 32
        last = last_map(maps, unit + 1) * maps.bits
        memset(words + first, 0, ((last + 31) // 32 - first) * sizeof(uint32_t))
        seed = unit * maps.unit * blocks.seeds[0] * blocks.seeds[1] * blocks.row
        for m in range(unit * maps.unit, last_map(maps, unit + 1)):
            for i in range(blocks.seeds[0]):
                for j in range(blocks.seeds[1]):
                    place_seeds(
                        drawn, seed, words,
                        m * maps.bits + i * blocks.strides[0] + j * blocks.strides[1],
                        blocks.row)
                    seed += blocks.row
        for axis in range(3):
            grow(words + first, (last + 31) // 32 - first, blocks.strides[axis],
                 blocks.lengths[axis])
        for word in range(first, (last + 31) // 32):
            words[word] = ~words[word]
        end_bits(words, last)


any_dtype(DROP_BLOCK, <kernel_fn>blocks_range)
