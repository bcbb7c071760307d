# Rows of logits, each with a label that is one of its `classes`.
ctypedef struct cross_entropy_t:
    uint64_t classes
    const int64_t *labels
    double factor             # of the gradient
    double *below             # of each row, as are the next two
    double *inverse
    uint8_t *right
