# Keep-bits of maps without random walks on a torus.

include "settings.pxi"


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
    return run_maps(DROP_WALK, NULL, &walks.maps, &walks, num_threads)
