# y = scale * x where kept, else 0, for a y that no cache holds: it is stored past the caches, which
# saves reading it first.

cdef void stream_block(element *y, const element *x, const mask_t *mask, uint64_t phase,
                       uint32_t bits, bint is_affine) noexcept nogil:
    """`apply_word` for an aligned y."""
    cdef lines_t part
    stream_ahead(x, 32 * sizeof(element))
    apply_word[element](<element*>&part, x, mask, phase, bits, is_affine)
    stream_store(y, &part, 32 * sizeof(element))


cdef void stream_range(const element *x, element *y, const mask_t *mask, uint64_t begin,
                       uint64_t end) noexcept nogil:
    """The tiles [begin, end) of arrays that do not overlap.

    Blocks of 32 elements begin where y is aligned, so their bits may lie in two words: block k has
    those of the words k - 1 and k from bit `shift` on. Where y is aligned at the first element,
    `shift` is 32.
    """
    cdef cursor_t cursor
    cdef const uint32_t *words
    cdef uint64_t tile, word = 0, count, at = 0, left = 0, pair = 0
    cdef uint64_t phase = 0, step = 32 if mask.period else 0
    cdef uint64_t first = begin * TILE, last = min(end * TILE, mask.size)
    cdef uint64_t head = to_aligned(y + first, sizeof(element))
    cdef uint64_t shift = head if head else 32
    cdef bint is_affine = mask.affine
    cursor.has_above = False
    for tile in range(begin, end):
        words = tile_words(mask, tile, &cursor)
        at = tile * TILE + shift - 32
        left = last - tile * TILE
        word = 0
        if mask.period:
            phase = (at + 32 * mask.period) % mask.period
        if tile == begin and head:
            apply_part[element](
                y + first, x + first, mask, first % mask.period if mask.period else 0, words[0],
                min(head, left))
            if left <= head:
                return
            pair = <uint64_t>words[0] << 32
            word = 1
        count = min(<uint64_t>TILE, left) // 32
        while word < count:
            pair = pair >> 32 | <uint64_t>words[word] << 32
            stream_block[element](
                y + at + 32 * word, x + at + 32 * word, mask, phase + step * word,
                <uint32_t>(pair >> shift), is_affine)
            word += 1
    stream_end()
    # Less than two blocks are left.
    at += 32 * word
    pair >>= 32
    if left > 32 * word:
        pair |= <uint64_t>words[word] << 32
    pair >>= shift
    while at < last:
        count = min(<uint64_t>32, last - at)
        apply_part[element](
            y + at, x + at, mask, at % mask.period if mask.period else 0, <uint32_t>pair, count)
        at += count
        pair >>= 32
