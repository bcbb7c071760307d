# y = act(z) where kept, with the probability sigmoid(a r + b), else 0.
ctypedef struct standout_t:
    uint64_t key
    uint64_t draw
    uint64_t size
    int kind
    double a
    double b
    const void *r
    uint32_t *bits
    bint drawn                # the bits are drawn, not given
    bint mean                 # no bits: y = sigmoid(a r + b) act(z)
    # Of a backward pass alone.
    const void *z
    void *dr                  # NULL where r is z
