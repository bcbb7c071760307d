# The steps of a recurrent layer: each thread takes rows, which need nothing of one another.

include "settings.pxi"

cdef extern from "numpy/arrayobject.h":
    object PyArray_MatrixProduct2(object, object, cnp.ndarray)

# Values of `cell` in a cell_t, by the name of the layer's cell.
cdef dict CELLS = {"tanh": 0, "relu": 1, "lstm": 2, "gru": 3}

# So many products take as long as the gate that they are for.
cdef enum:
    PRODUCTS = 64


cdef keep_t keep_of(given):
    """`given` is (words or None, bits from row to row, bits from step to step, scale)."""
    cdef keep_t keep
    keep.words = <const uint32_t*>address_or_null(given[0])
    keep.row, keep.step, keep.scale = given[1], given[2], given[3]
    return keep


cdef class Recurrence:
    """One sequence through a cell; its arrays are contiguous, of one dtype, and checked.

    `z` (rows, steps, gates, units) holds what the inputs give, and after the loop the gates.
    `keeps` are the choices of the hidden state, the update, and zoneout of h and c. Behind the
    `lengths` of its row a state stays.
    """

    cdef cell_t cell
    cdef int code
    cdef list held

    def __cinit__(self, str kind, cnp.ndarray z, cnp.ndarray h, c, inner, h0, c0, bias,
                  inner_bias, list keeps, int code, lengths=None):
        cdef cell_t *cell = &self.cell
        memset(cell, 0, sizeof(cell_t))
        self.code = code
        self.held = [z, h, c, inner, h0, c0, bias, inner_bias, keeps, lengths]
        cell.cell, cell.size = number_of(kind, CELLS), item_size(code)
        cell.rows = <uint64_t>cnp.PyArray_DIM(z, 0)
        cell.steps = <uint64_t>cnp.PyArray_DIM(z, 1)
        cell.gates = <uint64_t>cnp.PyArray_DIM(z, 2)
        cell.units = <uint64_t>cnp.PyArray_DIM(z, 3)
        cell.hidden, cell.update = keep_of(keeps[0]), keep_of(keeps[1])
        cell.zone_h, cell.zone_c = keep_of(keeps[2]), keep_of(keeps[3])
        cell.z, cell.h = address_or_null(z), address_or_null(h)
        cell.c, cell.inner = address_or_null(c), address_or_null(inner)
        cell.h0, cell.c0 = address_or_null(h0), address_or_null(c0)
        cell.bias = address_or_null(bias)
        cell.inner_bias = address_or_null(inner_bias)
        cell.lengths = <const int64_t*>address_or_null(lengths)

    cdef int run(self, row_t row, cell_t *cell, int num_threads) except -1:
        cdef uint64_t gates = cell.gates * cell.units * (cell.behind - cell.first)
        if cell.panels != NULL:
            gates *= 1 + cell.units // PRODUCTS
        with nogil:
            return launch(row, self.code, NULL, NULL, cell, gates * cell.rows,
                          (cell.rows + cell.together - 1) // cell.together, num_threads)

    cdef int take(self, cell_t *cell, panels) except -1:
        cell[0] = self.cell
        cell.panels = address_or_null(panels)
        cell.together, cell.behind = 1 if panels is None else TOGETHER, cell.steps
        return 0

    def forward(self, cnp.ndarray weight, panels, cnp.ndarray state, cnp.ndarray product,
                int num_threads=0):
        """Run all steps; `state` (rows, units) enters the first product, and is overwritten.

        With `panels` of the weight all is one call; with None BLAS makes the products.
        """
        cdef cell_t cell
        cdef uint64_t step
        self.take(&cell, panels)
        cell.next, cell.product = address(state), address(product)
        if panels is not None:
            self.run(RECURRENCE, &cell, num_threads)
            return
        for step in range(cell.steps):
            PyArray_MatrixProduct2(state, weight, product)
            cell.first, cell.behind = step, step + 1
            self.run(RECURRENCE, &cell, num_threads)

    def backward(self, cnp.ndarray weight, panels, cnp.ndarray dy, cnp.ndarray dz, ds,
                 cnp.ndarray flow, cnp.ndarray back, cnp.ndarray dh, dc, cnp.ndarray before,
                 int num_threads=0):
        """Run all steps in the other order.

        `weight` is transposed, and `panels` are those of it; `dy` is that of each step, or of the
        last. `before` gets what entered the products. `back` and `dh` are zeros; after the loop
        they are the gradients of the first state, by way of the product and past it.
        """
        cdef cell_t cell
        cdef uint64_t step
        self.take(&cell, panels)
        cell.dy, cell.each = address_or_null(dy), cnp.PyArray_NDIM(dy) == 3
        cell.dz, cell.ds = address_or_null(dz), address_or_null(ds)
        cell.flow = address(flow)
        cell.back = address(back)
        cell.dh, cell.dc = address_or_null(dh), address_or_null(dc)
        cell.before = address_or_null(before)
        if panels is not None:
            self.run(RECURRENCE_BACKWARD, &cell, num_threads)
            return
        for step in range(cell.steps):
            cell.first, cell.behind = step, step + 1
            self.run(RECURRENCE_BACKWARD, &cell, num_threads)
            PyArray_MatrixProduct2(flow, weight, back)
