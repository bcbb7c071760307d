# The product of each sample with a matrix of which it keeps entries of its own, and its backward.

include "settings.pxi"

cdef extern from "simd/simd.h" nogil:
    enum:
        ABREAST "CYD_ABREAST"
    void connect "cyd_connect"(...) noexcept
    void connect_back "cyd_connect_back"(...) noexcept


ctypedef struct span_t:
    uint32_t words[SPAN_WORDS]


cdef const uint32_t *span_words(const mask_t *mask, uint64_t first, uint64_t count,
                                span_t *span, cursor_t *cursor) noexcept nogil:
    """The keep-bits of the elements [first, first + count), from bit first % TILE on."""
    cdef uint64_t begin = first // TILE, tile
    if mask.source == STORED:
        return mask.bits + begin * TILE_WORDS
    for tile in range(begin, (first + count + TILE - 1) // TILE):
        memcpy(span.words + (tile - begin) * TILE_WORDS, tile_words(mask, tile, cursor),
               TILE_WORDS * sizeof(uint32_t))
    return span.words


cdef void connect_range(const real *x, real *y, const connect_t *c, uint64_t begin,
                        uint64_t end) noexcept nogil:
    """y[n, j] += the sum over i of x[n, i] w[i, j] where kept, for the samples [begin, end).

    The samples pass block by block of w: as many rows as make a span, or a span of one row.
    """
    cdef cursor_t cursor
    cdef span_t span
    cdef const uint32_t *words
    cdef const real *w
    cdef uint64_t top = 0, rows, left, columns, n, i, first, at
    cdef int abreast
    cursor.has_above = False
    while top < c.inputs:
        rows = min(c.block, c.inputs - top)
        left = 0
        while left < c.units:
            columns = min(<uint64_t>SPAN, c.units - left)
            for n in range(begin, end):
                first = (n * c.inputs + top) * c.units + left
                words = span_words(
                    c.mask, first, (rows - 1) * c.units + columns, &span, &cursor)
                w = <const real*>c.weight + top * c.stride + left
                at = first % TILE
                i = 0
                while i < rows:
                    abreast = ABREAST if i + ABREAST <= rows else 1
                    connect(
                        y + n * c.stride + left, x + n * c.inputs + top + i, w + i * c.stride,
                        c.stride, words, at + i * c.units, c.units, columns, abreast)
                    i += abreast
            left += columns
        top += rows


cdef void connect_back_block(const real *dy, real *dweight, const connect_t *c, uint64_t top,
                             uint64_t rows, uint64_t left, uint64_t columns) noexcept nogil:
    """`connect_back_range` for one block of the matrix."""
    cdef cursor_t cursor
    cdef span_t spans[ABREAST]
    cdef const uint32_t *words[ABREAST]
    cdef uint64_t at[ABREAST]
    cdef real *dx
    cdef uint64_t n = 0, i, first, place
    cdef int abreast, k
    cursor.has_above = False
    while n < c.rows:
        abreast = ABREAST if n + ABREAST <= c.rows else 1
        for k in range(abreast):
            first = ((n + k) * c.inputs + top) * c.units + left
            words[k] = span_words(
                c.mask, first, (rows - 1) * c.units + columns, &spans[k], &cursor)
            at[k] = first % TILE
        for i in range(rows):
            place = (top + i) * c.stride + left
            dx = NULL if c.dx == NULL else <real*>c.dx + n * c.inputs + top + i
            connect_back(
                dweight + place, dx, dy + n * c.stride + left,
                <const real*>c.x + n * c.inputs + top + i, <const real*>c.weight + place,
                c.stride, c.inputs, words, at, columns, abreast)
            for k in range(abreast):
                at[k] += c.units
        n += abreast


cdef void connect_back_range(const real *dy, real *dweight, const connect_t *c, uint64_t begin,
                             uint64_t end) noexcept nogil:
    """Where kept, dweight[i, j] += the sum over n of x[n, i] dy[n, j], and dx[n, i] += the sum
    over j of w[i, j] dy[n, j], for the blocks [begin, end) of rows of w."""
    cdef uint64_t block, left
    for block in range(begin, end):
        left = 0
        while left < c.units:
            connect_back_block[real](
                dy, dweight, c, block * c.block, min(c.block, c.inputs - block * c.block), left,
                min(<uint64_t>SPAN, c.units - left))
            left += SPAN


reals(DROP_CONNECT, <kernel_fn>connect_range[float], <kernel_fn>connect_range[double])
reals(DROP_CONNECT_BACKWARD, <kernel_fn>connect_back_range[float],
      <kernel_fn>connect_back_range[double])
