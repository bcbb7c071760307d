# Chunks of tiles, whose totals the caller adds up: what they hold does not depend on the threads.

cdef inline uint64_t chunk_tile(const sums_t *sums, uint64_t chunk) noexcept nogil:
    """The first tile of a chunk."""
    return sums.tiles * chunk // sums.chunks


cdef inline void *chunk_totals(const sums_t *sums, uint64_t chunk) noexcept nogil:
    return <char*>sums.totals + chunk * sums.chunk_bytes
