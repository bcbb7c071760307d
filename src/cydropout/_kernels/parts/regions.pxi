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


cdef run_maps(kernel_fn kernel, const void *x, const maps_t *maps, const void *settings,
              int num_threads):
    """Return the words that the kernel writes."""
    cdef uint64_t size = maps.count * maps.bits
    cdef cnp.ndarray words = np.empty((size + 31) // 32, np.uint32)
    cdef void *target = cnp.PyArray_DATA(words)
    with nogil:
        run(kernel, x, target, settings, size, (maps.count + maps.unit - 1) // maps.unit,
            num_threads)
    return words


def block_bits(cnp.ndarray drawn, uint64_t count, sizes, lengths, uint64_t inner,
               int num_threads=0):
    """Return the keep-bits of `count` maps, arrays of (*sizes, inner), without the blocks.

    There are three sizes, and lengths that are not larger. Blocks begin where `drawn`, the bits
    of (count, *(sizes - lengths + 1), inner), has none.
    """
    cdef blocks_t blocks
    cdef uint64_t stride = inner
    cdef int axis
    for axis in range(2, -1, -1):
        blocks.lengths[axis] = lengths[axis]
        blocks.strides[axis] = stride
        stride *= <uint64_t>sizes[axis]
    for axis in range(2):
        blocks.seeds[axis] = <uint64_t>sizes[axis] - blocks.lengths[axis] + 1
    blocks.row = (<uint64_t>sizes[2] - blocks.lengths[2] + 1) * inner
    blocks.maps = lay_out(count, stride)
    return run_maps(table.blocks, cnp.PyArray_DATA(drawn), &blocks.maps, &blocks, num_threads)


def walk_bits(uint64_t key, uint64_t draw, uint64_t count, uint64_t height, uint64_t width,
              uint64_t inner, uint64_t target, uint64_t walkers, int num_threads=0):
    """Return the keep-bits of `count` arrays of (height, width, inner), without the walks.

    A map has target / 2**32 cells dropped in the mean, and at most MAX_WALKERS walkers.
    """
    cdef walks_t walks
    walks.key, walks.draw = key, draw
    walks.height, walks.width, walks.inner = height, width, inner
    walks.target, walks.walkers = target, walkers
    walks.maps = lay_out(count, height * width * inner)
    return run_maps(table.walks, NULL, &walks.maps, &walks, num_threads)


def hole_bits(uint64_t key, uint64_t draw, uint64_t count, uint64_t height, uint64_t width,
              uint64_t rows, uint64_t columns, uint64_t number, int num_threads=0):
    """Return the keep-bits of `count` maps, each without `number` holes of (rows, columns)."""
    cdef holes_t holes
    holes.key, holes.draw = key, draw
    holes.height, holes.width = height, width
    holes.rows, holes.columns, holes.holes = rows, columns, number
    holes.maps = lay_out(count, height * width)
    return run_maps(table.holes, NULL, &holes.maps, &holes, num_threads)


def count_bits(cnp.ndarray words, uint64_t count, uint64_t bits, int num_threads=0):
    """Return how many bits are set in each of `count` strings of `bits` bits, one after another."""
    cdef maps_t maps
    cdef cnp.ndarray counts = np.empty(count, np.int64)
    cdef const void *source = cnp.PyArray_DATA(words)
    cdef void *target = cnp.PyArray_DATA(counts)
    maps.count, maps.bits, maps.unit = count, bits, 1
    with nogil:
        run(table.count, source, target, &maps, count * bits, count, num_threads)
    return counts
