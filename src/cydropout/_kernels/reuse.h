/* Memory of NumPy arrays that is kept when they die, for the arrays that are made after them.
 *
 * A training step makes the same large arrays as the one before it. From the system their pages
 * come one at a time, zeroed, at several times the cost of the passes that use them.
 */
#ifndef CYDROPOUT_REUSE_H
#define CYDROPOUT_REUSE_H

#include <numpy/arrayobject.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define CYD_KEPT 128                     /* blocks */
#define CYD_LEAST ((size_t)1 << 15)      /* bytes: what is smaller malloc is quick at */
#define CYD_HUGE ((size_t)1 << 22)
#define CYD_LINE 64

/* Lies in front of an array's elements, and says what malloc gave. */
typedef struct {
    void *base;
    size_t size;
} cyd_block_t;

typedef struct {
    PyDataMem_Handler handler;           /* NumPy takes its address; its ctx is this */
    unsigned char lock;
    int open, count;
    size_t used, peak, kept;             /* bytes in arrays, the most of them, and in blocks */
    uint64_t reused;                     /* arrays that got a block */
    void *blocks[CYD_KEPT];              /* the oldest first */
} cyd_reuse_t;

static void cyd_lock(cyd_reuse_t *own) {
    while (__atomic_test_and_set(&own->lock, __ATOMIC_ACQUIRE)) { }
}

static void cyd_unlock(cyd_reuse_t *own) { __atomic_clear(&own->lock, __ATOMIC_RELEASE); }

static cyd_block_t *cyd_head(void *elements) { return (cyd_block_t *)elements - 1; }

static void *cyd_new_block(size_t size) {
    size_t line = size < CYD_LEAST ? sizeof(cyd_block_t) : CYD_LINE;
    if (size > SIZE_MAX - 2 * CYD_LINE) return NULL;
    char *base = (char *)malloc(size + sizeof(cyd_block_t) + line);
    if (base == NULL) return NULL;
    uintptr_t first = (uintptr_t)base + sizeof(cyd_block_t);
    char *elements = base + ((first + line - 1) / line * line - (uintptr_t)base);
    cyd_head(elements)->base = base;
    cyd_head(elements)->size = size;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (size >= CYD_HUGE) {
        uintptr_t page = ((uintptr_t)elements + 4095) & ~(uintptr_t)4095;
        madvise((void *)page, ((uintptr_t)elements + size - page) & ~(size_t)4095, MADV_HUGEPAGE);
    }
#endif
    return elements;
}

static void *cyd_take_out(cyd_reuse_t *own, int place) {
    void *block = own->blocks[place];
    own->kept -= cyd_head(block)->size;
    own->count--;
    memmove(own->blocks + place, own->blocks + place + 1,
            (size_t)(own->count - place) * sizeof(void *));
    return block;
}

/* Free the oldest blocks until these are no more, and all memory is at most 3/2 of the peak's. */
static void cyd_bound(cyd_reuse_t *own, int count) {
    while (own->count > 0 && (own->count > count ||
                              own->used + own->kept > own->peak + own->peak / 2))
        free(cyd_head(cyd_take_out(own, 0))->base);
}

static void *cyd_reuse_malloc(void *ctx, size_t size) {
    cyd_reuse_t *own = (cyd_reuse_t *)ctx;
    void *found = NULL;
    if (size < CYD_LEAST) return cyd_new_block(size);
    cyd_lock(own);
    for (int place = own->count - 1; place >= 0 && found == NULL; place--) {
        size_t there = cyd_head(own->blocks[place])->size;
        if (size <= there && there - size <= size / 8) found = cyd_take_out(own, place);
    }
    own->reused += found != NULL;
    if (found == NULL && (found = cyd_new_block(size)) == NULL) {
        cyd_bound(own, 0);
        found = cyd_new_block(size);
    }
    if (found != NULL) own->used += cyd_head(found)->size;
    if (own->used > own->peak) own->peak = own->used;
    cyd_bound(own, CYD_KEPT);
    cyd_unlock(own);
    return found;
}

static void cyd_reuse_free(void *ctx, void *elements, size_t size) {
    cyd_reuse_t *own = (cyd_reuse_t *)ctx;
    (void)size; /* NumPy's guess: an array may have been given another dtype */
    if (elements == NULL) return;
    size = cyd_head(elements)->size;
    if (size < CYD_LEAST) {
        free(cyd_head(elements)->base);
        return;
    }
    cyd_lock(own);
    own->used -= size;
    cyd_bound(own, CYD_KEPT - 1);
    own->blocks[own->count++] = elements;
    own->kept += size;
    cyd_bound(own, own->open ? CYD_KEPT : 0);
    cyd_unlock(own);
}

static void *cyd_reuse_calloc(void *ctx, size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    void *found = cyd_reuse_malloc(ctx, count * size);
    if (found != NULL) memset(found, 0, count * size);
    return found;
}

static void *cyd_reuse_realloc(void *ctx, void *elements, size_t size) {
    void *found = cyd_reuse_malloc(ctx, size);
    if (found == NULL || elements == NULL) return found;
    size_t before = cyd_head(elements)->size;
    memcpy(found, elements, before < size ? before : size);
    cyd_reuse_free(ctx, elements, before);
    return found;
}

static void cyd_reuse_begin(cyd_reuse_t *own) {
    PyDataMem_Handler handler = {"cydropout", 1, {own, cyd_reuse_malloc, cyd_reuse_calloc,
                                                  cyd_reuse_realloc, cyd_reuse_free}};
    memset(own, 0, sizeof(*own));
    own->handler = handler;
    own->open = 1;
}

/* Keep nothing from now on, or keep again; arrays that are there stay as they are. */
static void cyd_reuse_open(cyd_reuse_t *own, int open) {
    cyd_lock(own);
    own->open = open;
    own->peak = own->used;
    cyd_bound(own, open ? CYD_KEPT : 0);
    cyd_unlock(own);
}

#endif
