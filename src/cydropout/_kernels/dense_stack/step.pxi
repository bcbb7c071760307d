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

    `gradient` is that of the predictions, and `found` has 2 numbers of float64 for each row. All is
    checked by the caller, and stays where it is.
    """

    cdef DenseStack stack
    cdef list keep
    cdef stepped_t *stepped
    cdef int count
    cdef loss_t loss

    def __cinit__(self, DenseStack stack, str loss, list weights, list biases, list dweights,
                  list dbiases, list stepped, cnp.ndarray gradient, cnp.ndarray found):
        cdef stepped_t *one
        self.stack, self.count = stack, len(stepped)
        self.keep = [weights, biases, dweights, dbiases, stepped, gradient, found]
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
        self.loss = loss_of(number_of(loss, LOSSES), stack.rows, gradient, found)

    def __dealloc__(self):
        free(self.stepped)

    def run(self, cnp.ndarray x, cnp.ndarray targets, list plans, int num_threads, str kind, *,
            double learning_rate, double beta1=0.0, double beta2=0.0, double epsilon=0.0,
            double decay=0.0, double correction=1.0, bint nesterov=False):
        """Return loss, share of hits and penalty; nothing is stepped by a loss that is not finite.
        """
        cdef DenseStack stack = self.stack
        cdef const void *source = address(x)
        cdef step_t rule = rule_of(
            kind, learning_rate, beta1, beta2, epsilon, decay, correction, nesterov)
        cdef double loss, hits = 0, penalty = 0
        cdef int i
        self.loss.targets = address(targets)
        stack.take_masks(plans)
        with nogil:
            stack.run_forward(source, num_threads)
            for i in range(stack.count):
                if stack.layers[i].mask.source == DRAW_AND_STORE:
                    stack.layers[i].mask.source = STORED
            loss = run_loss(&self.loss, stack.code, stack.layers[stack.count - 1].y, 1, &hits)
            if loss - loss == 0:
                stack.run_backward(self.loss.gradient, False, num_threads)
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
