# Keep-bits without the cells that random walks on a torus visit.

include "settings.pxi"

cdef enum:
    WALK_BITS = 26       # a map owns 2**26 words of the draw

cdef inline uint64_t leave(uint32_t *words, uint64_t bit) noexcept nogil:
    """Clear the bit; return what it was."""
    cdef uint64_t was = (words[bit // 32] >> (bit % 32)) & 1
    words[bit // 32] &= ~(<uint32_t>1 << (bit % 32))
    return was


cdef void walk_map(uint32_t *words, uint64_t first, const walks_t *walks, uint64_t m,
                   words_t *random) noexcept nogil:
    """Map m, whose cells are the bits first, first + inner, ...: DropWalk2D says how."""
    cdef uint64_t rows[MAX_WALKERS]
    cdef uint64_t columns[MAX_WALKERS]
    cdef uint64_t height = walks.height, width = walks.width
    cdef uint64_t row, column, back, across
    cdef uint64_t i = m << WALK_BITS, cell, walker
    cdef uint64_t left = (walks.target + word_at(random, i)) >> 32
    cdef uint32_t word
    cdef int step
    for walker in range(walks.walkers):
        if not left:
            return
        i += 1
        cell = (word_at(random, i) * (height * width)) >> 32
        rows[walker], columns[walker] = cell // width, cell % width
        left -= leave(words, first + cell * walks.inner)
    walker = 0
    row, column = rows[0], columns[0]
    while left:
        i += 1
        word = word_at(random, i)
        for step in range(16):
            # All ones or none: nobody could predict a branch.
            back = 0 - <uint64_t>(word & 1)
            across = 0 - <uint64_t>((word >> 1) & 1)
            word >>= 2
            row += (back | 1) & ~across
            column += (back | 1) & across
            # Below 0 is far above the end.
            if row >= height:
                row = back & (height - 1)
            if column >= width:
                column = back & (width - 1)
            left -= leave(words, first + (row * width + column) * walks.inner)
            if not left:
                return
            if walks.walkers > 1:
                rows[walker], columns[walker] = row, column
                walker = walker + 1 if walker + 1 < walks.walkers else 0
                row, column = rows[walker], columns[walker]


cdef void walks_range(const void *x, uint32_t *words, const walks_t *walks, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """The units [begin, end)."""
    cdef words_t random
    cdef uint64_t m, c
    random.key, random.draw, random.has_tile = walks.key, walks.draw, False
    keep_all(words, &walks.maps, begin, end)
    for m in range(begin * walks.maps.unit, last_map(&walks.maps, end)):
        for c in range(walks.inner):
            walk_map(words, m * walks.maps.bits + c, walks, m * walks.inner + c, &random)


any_dtype(DROP_WALK, <kernel_fn>walks_range)
