# Columns of `size` elements in rows, each times a factor of its own.
ctypedef struct columns_t:
    const void *factors       # of a row and a tile
    uint64_t columns
    uint64_t size
