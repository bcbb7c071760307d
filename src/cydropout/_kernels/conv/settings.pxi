# Windows that slide over maps whose channels come last.
ctypedef struct windows_t:
    uint64_t height           # of a map
    uint64_t width
    uint64_t channels
    uint64_t rows             # of windows
    uint64_t columns
    uint64_t size[2]
    uint64_t stride[2]
    uint64_t before[2]        # rows and columns of zeros before the map
    uint64_t first            # of the channels that are taken
    uint64_t taken
    uint8_t *at               # which element of its window was the largest
