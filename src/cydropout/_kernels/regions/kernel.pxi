# Keep-bits of maps that share words: what blocks, walks and holes have in common.

ctypedef struct words_t:
    uint64_t key
    uint64_t draw
    uint64_t tile              # whose words are there, if `has_tile`
    bint has_tile
    uint32_t words[TILE_WORDS]


cdef inline uint32_t word_at(words_t *random, uint64_t i) noexcept nogil:
    """Word i % 4 of Philox block i // 4 of the draw."""
    cdef uint64_t tile = i // TILE_WORDS
    if not random.has_tile or random.tile != tile:
        digit(random.key, random.draw, tile, 0, random.words)
        random.tile, random.has_tile = tile, True
    return random.words[i % TILE_WORDS]


cdef inline uint64_t last_map(const maps_t *maps, uint64_t end) noexcept nogil:
    return min(end * maps.unit, maps.count)


cdef inline void end_bits(uint32_t *words, uint64_t last) noexcept nogil:
    """Leave no bit at `last` and beyond in its word."""
    if last % 32:
        words[last // 32] &= (<uint32_t>1 << (last % 32)) - 1


cdef void keep_all(uint32_t *words, const maps_t *maps, uint64_t begin,
                   uint64_t end) noexcept nogil:
    """Set all bits of the units [begin, end)."""
    cdef uint64_t first = begin * maps.unit * maps.bits // 32
    cdef uint64_t last = last_map(maps, end) * maps.bits
    memset(words + first, 0xff, ((last + 31) // 32 - first) * sizeof(uint32_t))
    end_bits(words, last)


cdef void drop_bits(uint32_t *words, uint64_t at, uint64_t count) noexcept nogil:
    """Clear `count` bits from bit `at` on."""
    cdef uint64_t part
    while count:
        part = min(count, 32 - at % 32)
        words[at // 32] &= ~(<uint32_t>((<uint64_t>1 << part) - 1) << (at % 32))
        at += part
        count -= part


cdef void count_range(const uint32_t *words, int64_t *counts, const maps_t *maps, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """counts[m] = how many bits of map m are set."""
    cdef uint64_t m
    for m in range(begin * maps.unit, last_map(maps, end)):
        counts[m] = <int64_t>count_ones(words, m * maps.bits, maps.bits)


any_dtype(COUNT_BITS, <kernel_fn>count_range)
