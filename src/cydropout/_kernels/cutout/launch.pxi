# Keep-bits of maps without holes.

include "settings.pxi"


def hole_bits(uint64_t key, uint64_t draw, uint64_t count, uint64_t height, uint64_t width,
              uint64_t rows, uint64_t columns, uint64_t number, int num_threads=0):
    """Return the keep-bits of `count` maps, each without `number` holes of (rows, columns)."""
    cdef holes_t holes
    holes.key, holes.draw = key, draw
    holes.height, holes.width = height, width
    holes.rows, holes.columns, holes.holes = rows, columns, number
    holes.maps = lay_out(count, height * width)
    return run_maps(CUTOUT, NULL, &holes.maps, &holes, num_threads)
