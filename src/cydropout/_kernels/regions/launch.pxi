# Keep-bits of maps with regions dropped: blocks, walks, holes.

cdef enum:
    UNIT_BITS = 1 << 16      # about what a unit has: they stay in the first cache


cdef maps_t lay_out(uint64_t count, uint64_t bits) noexcept:
    """Maps in units of whole words, so that no two threads write one word."""
    cdef maps_t maps
    cdef uint64_t whole = 1
    while whole * bits % 32:
        whole *= 2
    maps.count, maps.bits = count, bits
    maps.unit = whole * max(<uint64_t>1, UNIT_BITS // max(<uint64_t>1, whole * bits))
    return maps


cdef run_maps(row_t row, const void *x, const maps_t *maps, const void *settings,
              int num_threads):
    """Return the words that the kernel writes."""
    cdef uint64_t size = maps.count * maps.bits
    cdef cnp.ndarray words = np.empty((size + 31) // 32, np.uint32)
    cdef void *target = address(words)
    with nogil:
        launch(row, ANY_DTYPE, x, target, settings, size,
               (maps.count + maps.unit - 1) // maps.unit, num_threads)
    return words


def count_bits(cnp.ndarray words, uint64_t count, uint64_t bits, int num_threads=0):
    """Return how many bits are set in each of `count` strings of `bits` bits, one after another."""
    cdef maps_t maps
    cdef cnp.ndarray counts = np.zeros(count, np.int64)
    cdef const void *source = address(words)
    cdef void *target = address(counts)
    maps.count, maps.bits, maps.unit = count, bits, 1
    with nogil:
        launch(COUNT_BITS, ANY_DTYPE, source, target, &maps, count * bits, count, num_threads)
    return counts
