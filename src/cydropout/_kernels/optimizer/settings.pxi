cdef enum steps_t:
    SGD = 0
    ADAM = 1
    RMSPROP = 2

# One step of `size` parameters, with what the optimizer remembers of them.
ctypedef struct step_t:
    void *first
    void *second
    uint64_t size
    double learning_rate
    double beta1
    double beta2
    double epsilon
    double decay
    double correction
    bint nesterov
    int kind                  # one of steps_t
    # Where only a submatrix of a matrix has a gradient.
    const submatrix_t *submatrix
    bint lazy                 # leave all else as it is
    # Of a step that adds up squares on the way.
    kernel_fn kernel          # the step itself, or NULL: it is done
    sums_t sums
