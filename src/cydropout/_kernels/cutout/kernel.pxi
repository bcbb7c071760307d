# Keep-bits without rectangles around random centres.

include "settings.pxi"

cdef inline uint64_t edge(uint64_t centre, uint64_t length, uint64_t size,
                          bint upper) noexcept nogil:
    """The lower or upper end of a length around the centre, within [0, size]."""
    cdef uint64_t half = length // 2
    if upper:
        return min(size, centre + length - half)
    return centre - half if centre > half else 0


cdef void holes_range(const void *x, uint32_t *words, const holes_t *holes, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """The units [begin, end); hole h has its centre from the words 2 h and 2 h + 1."""
    cdef words_t random
    cdef uint64_t m, h, row, column, low, high, left
    random.key, random.draw, random.has_tile = holes.key, holes.draw, False
    keep_all(words, &holes.maps, begin, end)
    for m in range(begin * holes.maps.unit, last_map(&holes.maps, end)):
        for h in range(m * holes.holes, (m + 1) * holes.holes):
            row = (word_at(&random, 2 * h) * holes.height) >> 32
            column = (word_at(&random, 2 * h + 1) * holes.width) >> 32
            low, high = edge(row, holes.rows, holes.height, 0), edge(
                row, holes.rows, holes.height, 1)
            left = edge(column, holes.columns, holes.width, 0)
            column = edge(column, holes.columns, holes.width, 1)
            for row in range(low, high):
                drop_bits(words, m * holes.maps.bits + row * holes.width + left, column - left)


any_dtype(CUTOUT, <kernel_fn>holes_range)
