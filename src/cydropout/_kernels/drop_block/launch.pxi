# Keep-bits of maps without blocks around seeds.

include "settings.pxi"


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
    return run_maps(DROP_BLOCK, address(drawn), &blocks.maps, &blocks, num_threads)
