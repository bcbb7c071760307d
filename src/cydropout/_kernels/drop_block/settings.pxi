# Blocks over three axes, whose seeds lie where a block fits into its map.
ctypedef struct blocks_t:
    maps_t maps
    uint64_t seeds[2]         # rows of seeds along the first two axes
    uint64_t row              # bits in a row of seeds
    uint64_t strides[3]       # of the axes, in bits
    uint64_t lengths[3]       # of a block
