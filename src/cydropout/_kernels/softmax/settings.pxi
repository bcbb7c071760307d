# Softmax over rows of `keys` elements, with dropout of the result.
ctypedef struct softmax_t:
    uint64_t queries          # rows after which the count of a causal row begins again
    uint64_t keys
    bint causal               # row i sees keys 0 to i alone
    double scale              # of the scores
    double factor             # of what is kept
    const uint32_t *keep      # one bit for each element, or NULL: all are kept
    const uint32_t *allow     # rows of `words` words, one bit for each key, or NULL
    const uint64_t *which     # of the rows of `allow` each row takes
    uint64_t words
    void *statistics          # two for each row
    const void *scores        # of a backward pass alone
