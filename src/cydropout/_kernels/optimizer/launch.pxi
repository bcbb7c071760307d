# Optimizer steps over checked arrays.

include "settings.pxi"

# Values of `kind` in a step_t, by the name of the rule, and how many arrays of state it may have.
cdef dict RULES = {"sgd": SGD, "adam": ADAM, "rmsprop": RMSPROP}
STATES = {"sgd": (0, 1), "adam": (2,), "rmsprop": (1,)}


cdef step_t rule_of(str kind, double learning_rate, double beta1, double beta2, double epsilon,
                    double decay, double correction, bint nesterov) except *:
    cdef step_t settings
    settings.kind = number_of(kind, RULES)
    settings.learning_rate = learning_rate
    settings.beta1 = beta1
    settings.beta2 = beta2
    settings.epsilon = epsilon
    settings.decay = decay
    settings.correction = correction
    settings.nesterov = nesterov
    settings.lazy = False
    settings.submatrix = NULL
    settings.kernel = NULL
    return settings


cdef step_t rule_from(str kind, dict rule) except *:
    """The same of the settings that there are."""
    return rule_of(
        kind, rule["learning_rate"], rule.get("beta1", 0.0), rule.get("beta2", 0.0),
        rule.get("epsilon", 0.0), rule.get("decay", 0.0), rule.get("correction", 1.0),
        rule.get("nesterov", False))


cdef int one_step(step_t *settings, const submatrix_t *r, const void *g, void *w, int code,
                  int num_threads) except -1 nogil:
    cdef uint64_t size = settings.size, work, units
    settings.submatrix = r
    if r == NULL:
        return launch(OPTIMIZER_STEP, code, g, w, settings, size, tiles(size), num_threads)
    work = r.height * r.width if settings.lazy else size
    units = r.height if settings.lazy else size // max(r.stride, <uint64_t>1)
    return launch(OPTIMIZER_STEP_ROWS, code, g, w, settings, work, units, num_threads)


def steps(str kind, list group, list grads, *, double learning_rate, double beta1=0.0,
          double beta2=0.0, double epsilon=0.0, double decay=0.0, double correction=1.0,
          bint nesterov=False, int num_threads=0):
    """One optimizer step in place of each (w, first, second), with its gradient.

    A gradient is (g, lazy, submatrix), each as in `step`; all are checked.
    """
    cdef step_t settings = rule_of(
        kind, learning_rate, beta1, beta2, epsilon, decay, correction, nesterov)
    cdef cnp.ndarray w, g
    cdef const void *gradient
    cdef void *target
    cdef submatrix_t r
    cdef const submatrix_t *part
    cdef int code
    for (w, first, second), (g, lazy, submatrix) in zip(group, grads):
        settings.lazy, part = lazy, NULL
        if submatrix is not None:
            where, across, height, width, stride = submatrix
            r = submatrix_of(where, across, height, width, stride)
            part = &r
        code = _code_if_ready(w)
        settings.size = <uint64_t>cnp.PyArray_SIZE(w)
        settings.first = address_or_null(first)
        settings.second = address_or_null(second)
        gradient, target = address(g), address(w)
        with nogil:
            one_step(&settings, part, gradient, target, code, num_threads)


def step(str kind, cnp.ndarray w, cnp.ndarray g, cnp.ndarray first, cnp.ndarray second,
         submatrix=None, *, double learning_rate, double beta1=0.0, double beta2=0.0,
         double epsilon=0.0, double decay=0.0, double correction=1.0, bint nesterov=False,
         cnp.ndarray totals=None, uint64_t columns=0, bint lazy=False, int num_threads=0):
    """One optimizer step in place; the arrays are contiguous and of one dtype.

    With a submatrix, (rows, columns, height, width, stride), `g` is the gradient there, and
    elsewhere it is 0; or with `lazy` nothing is changed elsewhere. With totals, of float64,
    totals[chunk, column] += w w of the new w, in the same pass unless there is a submatrix.
    """
    cdef step_t settings = rule_of(
        kind, learning_rate, beta1, beta2, epsilon, decay, correction, nesterov)
    cdef submatrix_t r
    cdef int code = _code_if_ready(w)
    cdef const void *gradient = address(g)
    cdef void *target = address(w)
    cdef uint64_t size = <uint64_t>cnp.PyArray_SIZE(w)
    settings.first = address_or_null(first)
    settings.second = address_or_null(second)
    settings.size = size
    settings.lazy = lazy
    settings.kernel = kernel_for(OPTIMIZER_STEP, code) if submatrix is None else NULL
    if totals is not None:
        settings.sums = sums_of(totals, size, columns)
    if submatrix is not None:
        where, across, height, width, stride = submatrix
        r = submatrix_of(where, across, height, width, stride)
        with nogil:
            one_step(&settings, &r, gradient, target, code, num_threads)
    elif totals is None:
        with nogil:
            one_step(&settings, NULL, gradient, target, code, num_threads)
    if totals is not None:
        with nogil:
            launch(MAX_NORM_STEP, code, gradient, target, &settings, size, settings.sums.chunks,
                   num_threads)
