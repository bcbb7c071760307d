# Random walks over the maps of a torus; `inner` of them lie interleaved in one of `maps`.
ctypedef struct walks_t:
    maps_t maps
    uint64_t key
    uint64_t draw
    uint64_t height
    uint64_t width
    uint64_t inner
    uint64_t target           # 2**32 times the mean number of cells to visit
    uint64_t walkers
