# Exactly k of m items, every subset as likely as any other.

cdef void subset_rows(const void *x, int64_t *y, const subset_t *s, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """y[row] = the `count` items taken of `size`, in order (Knuth's Algorithm S).

    With u the word i % 4 of Philox block i // 4, i = offset + row * size + j, item j is taken if
    and only if u * (size - j) < (count - taken) * 2**32.
    """
    cdef uint32_t words[CHUNK]
    cdef uint64_t row, j, i, taken, chunk = <uint64_t>-1
    cdef int64_t *out
    for row in range(begin, end):
        out = y + row * s.count
        taken = j = 0
        while taken < s.count:
            i = s.offset + row * s.size + j
            if i // CHUNK != chunk:
                chunk = i // CHUNK
                digit(s.key, s.draw, chunk, 0, words)
            # Written in any case, and kept if the place moves on.
            out[taken] = j
            taken += words[i % CHUNK] * (s.size - j) < (s.count - taken) << 32
            j += 1
