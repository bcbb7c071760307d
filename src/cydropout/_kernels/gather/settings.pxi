# Rows of a table, picked by their number.
ctypedef struct gather_t:
    const int64_t *index      # one for each row outside the table; below 0: a row of zeros
    uint64_t rows             # outside the table
    uint64_t columns
    uint64_t span             # rows, or of a sum columns, in one unit of work
    const mask_t *mask        # one bit for each row of the table, stored; or NULL: all as they are
