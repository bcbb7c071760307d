# Exact subsets.

include "settings.pxi"


def subset(uint64_t key, uint64_t draw, uint64_t offset, uint64_t rows, uint64_t size,
           uint64_t count, bint flags=False, int num_threads=0):
    """Return `count` of `size` items for each row: int64, sorted; or which they are, as bools."""
    cdef cnp.ndarray y = np.empty((rows, size if flags else count), bool if flags else np.int64)
    cdef void *target = address(y)
    cdef subset_t s
    s.key, s.draw, s.offset, s.size, s.count, s.flags = key, draw, offset, size, count, flags
    if rows * size:
        with nogil:
            launch(SUBSET, ANY_DTYPE, NULL, target, &s, rows * size, rows, num_threads)
    return y
