# A whole training step of dense layers: forward, loss, backward, penalties and optimizer.

ctypedef struct stepped_t:
    void *w
    void *g
    void *first
    void *second
    uint64_t size
    double l2
    const dense_t *layer      # whose weight or bias it is, or NULL
    bint is_bias


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
            for j in range(stack.count):
                if one.w == stack.layers[j].weight or one.w == stack.layers[j].bias:
                    one.layer = &stack.layers[j]
                    one.is_bias = one.w == stack.layers[j].bias
        self.loss = loss_of(number_of(loss, LOSSES), stack.rows, gradient, found)

    def __dealloc__(self):
        free(self.stepped)

    def run(self, cnp.ndarray x, cnp.ndarray order, cnp.ndarray room, cnp.ndarray targets,
            list plans, list draws, list parts, int num_threads, str kind, list rules,
            cnp.ndarray found):
        """Take a step for each rule; return how many there were, the last of which may have failed.

        Step n is of batch n of x, as it lies or in an order that `room` is filled by, one batch at
        a time. A plan that draws is at its draw of the first step. Of parts each step has one,
        (index, lazy, scale, plans), to which the stack is restricted for it. A row
        of `found` is loss, share of hits and penalty of a step, and none is stepped by a loss that
        is not finite.
        """
        cdef DenseStack stack = self.stack
        cdef uint64_t steps = len(rules), drawn = sum(draws), n, done = 0
        cdef uint64_t batch = stack.rows * stack.layers.inputs * item_size(stack.code)
        cdef uint64_t own = targets.nbytes // max(steps, 1)
        cdef const char *source = <const char*>address(x)
        cdef const char *target = <const char*>address(targets)
        cdef gather_t rows = rows_of(
            <const int64_t*>address_or_null(order), stack.rows, stack.layers.inputs)
        cdef void *gathered = address_or_null(room)
        cdef double *measured = <double*>address(found)
        cdef step_t *each = <step_t*>calloc(max(steps, 1), sizeof(step_t))
        cdef bint restricted = parts is not None
        cdef dense_t *layer
        cdef int i
        if each == NULL:
            raise MemoryError
        try:
            for n in range(steps):
                each[n] = rule_from(kind, rules[n])
            stack.take_masks(plans)
            for i in range(stack.count):
                layer = &stack.layers[i]
                layer.draws, layer.source = draws[i], layer.mask.source
            with nogil:
                for n in range(steps):
                    if rows.index != NULL:
                        run_gather(&rows, stack.code, source, gathered, num_threads)
                        rows.index += stack.rows
                    self.loss.targets = target + n * own
                    if restricted:
                        with gil:
                            index_of, lazy, scale, plans = parts[n]
                            stack.restrict(index_of, lazy, scale)
                            stack.take_masks(plans)
                    self.step(gathered if order is not None else source + n * batch, &each[n],
                              num_threads, measured + 3 * n)
                    done = n + 1
                    if measured[3 * n] - measured[3 * n] != 0:
                        break
                    for i in range(stack.count):
                        layer = &stack.layers[i]
                        if layer.draws:
                            layer.mask.draw += drawn
                            layer.mask.source = layer.source
        finally:
            free(each)
            if restricted:
                stack.restore()
        return done

    cdef int step(self, const void *source, const step_t *rule, int num_threads,
                  double *found) except -1 nogil:
        """Step by one batch, whose targets the loss has, unless that is not finite."""
        cdef dense_t *layer = NULL
        cdef int i
        found[1] = found[2] = 0
        self.stack.run_forward(source, num_threads)
        for i in range(self.stack.count):
            layer = &self.stack.layers[i]
            if layer.mask.source == DRAW_AND_STORE:
                layer.mask.source = STORED
        found[0] = run_loss(&self.loss, self.stack.code, layer.y, 1, &found[1])
        if found[0] - found[0] == 0:
            self.stack.run_backward(self.loss.gradient, False, num_threads)
            found[2] = self.run_steps(rule, num_threads)
        return 0

    cdef double run_steps(self, const step_t *rule, int num_threads) except? -1 nogil:
        cdef double penalty = 0
        cdef stepped_t *one
        cdef submatrix_t part
        cdef bint whole
        cdef step_t step
        for i in range(self.count):
            one = &self.stepped[i]
            if one.l2 != 0:
                penalty += add_l2(one.w, one.g, one.l2, one.size, self.stack.code == FLOAT64)
        for i in range(self.count):
            one = &self.stepped[i]
            whole = one.layer == NULL
            step = rule[0]
            step.first, step.second, step.size = one.first, one.second, one.size
            if not whole:
                part = bias_part(one.layer) if one.is_bias else one.layer.part
                whole = part.rows == NULL and part.columns == NULL
                step.lazy = one.layer.lazy_bias if one.is_bias else one.layer.lazy
            one_step(&step, NULL if whole else &part, one.g, one.w, self.stack.code, num_threads)
        return penalty
