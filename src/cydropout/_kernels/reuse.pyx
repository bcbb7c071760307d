"""Memory of arrays that is kept for the next ones, while `ReusedMemory` is entered."""

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

cdef extern from "reuse.h":
    ctypedef struct cyd_reuse_t:
        size_t used, peak, kept
        uint64_t reused
    void cyd_reuse_begin(cyd_reuse_t *own)
    void cyd_reuse_open(cyd_reuse_t *own, int open)

cdef extern from "numpy/arrayobject.h":
    object PyDataMem_SetHandler(object handler)
    object PyDataMem_GetHandler()
    void *PyDataMem_DefaultHandler

cnp.import_array()

cdef const char *NAME = "mem_handler"  # as NumPy wants it


cdef void _end(object capsule) noexcept:
    free(PyCapsule_GetPointer(capsule, NAME))


cdef class ReusedMemory:
    """A context in which this thread's arrays get memory that others left.

    Arrays may outlive it. At most half more than what arrays took at once is held, and nothing
    after the end. Where another handler of NumPy's memory is at work, that one stays.
    """

    cdef object handler, before
    cdef cyd_reuse_t *own

    def __cinit__(self):
        self.own = <cyd_reuse_t*>malloc(sizeof(cyd_reuse_t))
        if self.own == NULL:
            raise MemoryError
        cyd_reuse_begin(self.own)
        self.handler = PyCapsule_New(self.own, NAME, _end)  # each array holds it too

    def __enter__(self):
        self.before = PyDataMem_GetHandler()
        cyd_reuse_open(self.own, True)
        if <void*>self.before == PyDataMem_DefaultHandler:
            PyDataMem_SetHandler(self.handler)
        return self

    def __exit__(self, *error):
        PyDataMem_SetHandler(self.before)
        self.before = None
        cyd_reuse_open(self.own, False)

    @property
    def counts(self):
        """Bytes in arrays, the most there were, and in blocks kept; how many arrays got one."""
        cdef cyd_reuse_t *own = self.own
        return {"used": own.used, "peak": own.peak, "kept": own.kept, "reused": own.reused}
