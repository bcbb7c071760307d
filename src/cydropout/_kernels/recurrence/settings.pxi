# Keep-bits of rows of states, or without them the share of a mean.
ctypedef struct keep_t:
    const uint32_t *words
    uint64_t row              # bits from one row to the next
    uint64_t step
    double scale

# One step of a recurrent cell; sequences are (rows, steps, ...), states (rows, ...).
ctypedef struct cell_t:
    int cell
    uint64_t size             # bytes of an element
    uint64_t rows
    uint64_t together         # so many rows are a unit of work
    uint64_t units
    uint64_t gates
    uint64_t steps
    uint64_t first            # of the steps of a call, in the order that they are run in
    uint64_t behind           # the last one of it
    uint64_t step
    keep_t hidden             # of what enters the product
    keep_t update
    keep_t zone_h
    keep_t zone_c
    void *z
    void *inner               # of a GRU: what the reset gate is multiplied by
    void *h
    void *c
    void *next                # state that enters the next product
    void *product             # (rows, gates * units)
    const void *panels        # of the weight, see product.h; NULL: the caller makes the products
    const void *bias
    const void *inner_bias
    const void *h0
    const void *c0
    const int64_t *lengths    # steps of each row that count; or NULL: all
    # Of a backward pass alone.
    bint each                 # dy is that of each step, not of the last
    const void *dy
    void *back
    void *dz
    void *ds                  # of a GRU: for the product, where dz is for the inputs
    void *flow                # the same of this step alone
    void *dh
    void *dc
    void *before              # states that entered the products
