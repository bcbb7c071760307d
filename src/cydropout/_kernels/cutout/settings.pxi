# Rectangles around random centres, cut off at the border.
ctypedef struct holes_t:
    maps_t maps
    uint64_t key
    uint64_t draw
    uint64_t height
    uint64_t width
    uint64_t rows             # of a hole
    uint64_t columns
    uint64_t holes            # in a map
