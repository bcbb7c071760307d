# Exactly `count` of `size` items for each row.
ctypedef struct subset_t:
    uint64_t key
    uint64_t draw
    uint64_t offset
    uint64_t size
    uint64_t count
    bint flags                # a byte for each item, and not the numbers of those taken
