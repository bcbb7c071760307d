# Exactly k of m items, every subset as likely as any other.

include "settings.pxi"

cdef void subset_rows(const void *x, void *y, const subset_t *s, uint64_t begin,
                      uint64_t end) noexcept nogil:
    """y[row] = the `count` items taken of `size`, in order (Knuth's Algorithm S).

    With u the word i % 4 of Philox block i // 4, i = offset + row * size + j, item j is taken if
    and only if u * (size - j) < (count - taken) * 2**32. With `flags`, y[row, j] says so of each.
    """
    cdef uint32_t words[CHUNK]
    cdef unsigned char hits[CHUNK]
    cdef uint64_t row, i, k, j, wanted, left, taken, last, chunk = <uint64_t>-1
    cdef int64_t *out
    for row in range(begin, end):
        out = <int64_t*>y + row * s.count
        wanted, j, taken = s.count, 0, 0
        while j < s.size and (wanted or s.flags):
            i = s.offset + row * s.size + j
            if i // CHUNK != chunk:
                chunk = i // CHUNK
                digit(s.key, s.draw, chunk, 0, words)
            i %= CHUNK
            last = min(<uint64_t>CHUNK - i, s.size - j)
            left = s.size - j
            for k in range(last):
                hits[k] = words[i + k] * (left - k) < wanted << 32
                wanted -= hits[k]
            if s.flags:
                memcpy(<char*>y + row * s.size + j, hits, last)
            else:
                # Written in any case, and kept if the place moves on.
                for k in range(last):
                    if taken == s.count:
                        break
                    out[taken] = j + k
                    taken += hits[k]
            j += last


any_dtype(SUBSET, <kernel_fn>subset_rows)
