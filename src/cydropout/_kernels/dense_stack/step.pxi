# A whole training step of dense layers: forward, loss, backward, penalties and optimizer.

ctypedef struct stepped_t:
    void *w
    void *g
    void *first
    void *second
    uint64_t size
    double l2


cdef class DenseStep:
    """The step of a stack whose parameters are (w, g, first, second, l2), each as it is stepped.

    `labels` are of int64, `gradient` is that of the logits, and `pairs` and `right` hold 2 numbers
    and a flag for each row. All is checked by the caller, and stays where it is.
    """

    cdef DenseStack stack
    cdef list keep
    cdef stepped_t *stepped
    cdef int count
    cdef cross_entropy_t loss
    cdef void *gradient
    cdef int64_t rows

    def __cinit__(self, DenseStack stack, list weights, list biases, list dweights, list dbiases,
                  list stepped, cnp.ndarray gradient, cnp.ndarray pairs, cnp.ndarray right):
        cdef stepped_t *one
        self.stack, self.count = stack, len(stepped)
        self.keep = [weights, biases, dweights, dbiases, stepped, gradient, pairs, right]
        self.stepped = <stepped_t*>calloc(max(self.count, 1), sizeof(stepped_t))
        if self.stepped == NULL:
            raise MemoryError
        stack.take_parameters(weights, biases)
        stack.take_gradients(dweights, dbiases)
        for i in range(self.count):
            one = &self.stepped[i]
            w, g, first, second, one.l2 = stepped[i]
            one.w, one.g, one.size = address(w), address(g), w.size
            one.first, one.second = address_or_null(first), address_or_null(second)
        self.rows = stack.rows
        self.loss.classes = cnp.PyArray_SIZE(gradient) // self.rows
        self.loss.factor = 1.0 / <double>self.rows
        self.loss.below = <double*>address(pairs)
        self.loss.inverse = self.loss.below + self.rows
        self.loss.right = <uint8_t*>address(right)
        self.gradient = address(gradient)

    def __dealloc__(self):
        free(self.stepped)

    def run(self, cnp.ndarray x, cnp.ndarray labels, list plans, int num_threads, str kind, *,
            double learning_rate, double beta1=0.0, double beta2=0.0, double epsilon=0.0,
            double decay=0.0, double correction=1.0, bint nesterov=False):
        """Return loss, how many are right, and penalty; nothing is stepped by a loss that is not
        finite.
        """
        cdef DenseStack stack = self.stack
        cdef const void *source = address(x)
        cdef step_t rule = rule_of(
            kind, learning_rate, beta1, beta2, epsilon, decay, correction, nesterov)
        cdef double loss, penalty = 0
        cdef uint64_t hits = 0
        cdef int i
        self.loss.labels = <const int64_t*>address(labels)
        stack.take_masks(plans)
        with nogil:
            stack.run_forward(source, num_threads)
            for i in range(stack.count):
                if stack.layers[i].mask.source == DRAW_AND_STORE:
                    stack.layers[i].mask.source = STORED
            loss = run_cross_entropy(&self.loss, stack.code, stack.layers[stack.count - 1].y,
                                     self.gradient, self.rows, 1, &hits)
            if loss - loss == 0:
                stack.run_backward(self.gradient, False, num_threads)
                penalty = self.run_steps(&rule, num_threads)
        return loss, hits, penalty

    cdef double run_steps(self, const step_t *rule, int num_threads) except? -1 nogil:
        cdef double penalty = 0
        cdef stepped_t *one
        cdef step_t step
        for i in range(self.count):
            one = &self.stepped[i]
            if one.l2 != 0:
                penalty += add_l2(one.w, one.g, one.l2, one.size, self.stack.code == FLOAT64)
        for i in range(self.count):
            one = &self.stepped[i]
            step = rule[0]
            step.first, step.second, step.size = one.first, one.second, one.size
            launch(OPTIMIZER_STEP, self.stack.code, one.g, one.w, &step, step.size,
                   tiles(step.size), num_threads)
        return penalty
