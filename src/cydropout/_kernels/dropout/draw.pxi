# Stream version 1 of docs and tests: which elements of a draw are kept.

ctypedef struct cursor_t:
    uint32_t words[TILE_WORDS]         # the tile asked for
    uint32_t drawn[2 * TILE_WORDS]     # two tiles of the draw, where an offset straddles them
    uint64_t above                     # which tile the upper of the two is
    bint has_above


cdef void draw_tile(const mask_t *mask, uint64_t tile, uint32_t *words) noexcept nogil:
    """words[e // 32] bit e % 32 = u < q, for the elements 2048 * tile + e of the draw."""
    cdef uint64_t phase
    if mask.own == NULL:
        if mask.q >> 32:
            memset(words, 0xff, TILE_WORDS * sizeof(uint32_t))
        else:
            tile_keep(mask.key, mask.draw, tile, mask.q, mask.digits, NULL, 0, 0, words)
        return
    # The rates belong to the slice: its first element is `offset` elements into the draw.
    phase = ((tile % mask.period) * (TILE % mask.period) + mask.period
             - mask.offset % mask.period) % mask.period
    tile_keep(mask.key, mask.draw, tile, 0, mask.digits, mask.own + phase // 32, mask.own_stride,
              <int>(phase % 32), words)


cdef const uint32_t *tile_words(const mask_t *mask, uint64_t tile,
                                cursor_t *cursor) noexcept nogil:
    """The keep-bits of the elements [2048 * tile, 2048 * (tile + 1)) of the slice."""
    cdef uint64_t first = mask.offset // TILE + tile
    cdef uint64_t shift = mask.offset % TILE
    cdef uint64_t begin = tile * TILE
    cdef int word, count, left
    if mask.source == STORED:
        return mask.bits + tile * TILE_WORDS
    if shift == 0:
        draw_tile(mask, first, cursor.words)
    else:
        if cursor.has_above and cursor.above == first:
            memcpy(cursor.drawn, cursor.drawn + TILE_WORDS, sizeof(cursor.words))
        else:
            draw_tile(mask, first, cursor.drawn)
        draw_tile(mask, first + 1, cursor.drawn + TILE_WORDS)
        cursor.above = first + 1
        cursor.has_above = True
        for word in range(TILE_WORDS):
            cursor.words[word] = bits_at(cursor.drawn, 32 * word + shift, 32)
    if mask.source == DRAW_AND_STORE:
        left = <int>min(<uint64_t>TILE, mask.size - begin)
        count = (left + 31) // 32
        if left % 32:
            cursor.words[count - 1] &= (<uint32_t>1 << (left % 32)) - 1
        memcpy(mask.bits + tile * TILE_WORDS, cursor.words, count * sizeof(uint32_t))
    return cursor.words


cdef void draw_range(const void *x, void *y, const mask_t *mask, uint64_t begin,
                     uint64_t end) noexcept nogil:
    """Store the keep-bits of the tiles [begin, end)."""
    cdef cursor_t cursor
    cdef uint64_t tile
    cursor.has_above = False
    for tile in range(begin, end):
        tile_words(mask, tile, &cursor)


any_dtype(DRAW_BITS, <kernel_fn>draw_range)
