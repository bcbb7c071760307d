/* Where a woken worker may begin: on any core of the caller's but the one that this keeps busy.
 *
 * Some kernels put a thread on the core of the one that woke it, and it waits there for milliseconds while
 * another core rests.
 */
#ifndef CYDROPOUT_CORES_H
#define CYDROPOUT_CORES_H

#include <pthread.h>
#include <sched.h>

#if defined(__linux__) && !defined(__ANDROID__)
typedef cpu_set_t cyd_cores_t;

/* Find the cores that the caller may use, and the others of them; whether there are any. */
static int cyd_find_cores(cyd_cores_t *all, cyd_cores_t *others) {
    const int core = sched_getcpu();
    if (core < 0 || pthread_getaffinity_np(pthread_self(), sizeof *all, all)) return 0;
    *others = *all;
    CPU_CLR((size_t)core, others);
    return CPU_COUNT(others) > 0;
}

static void cyd_keep_to(const cyd_cores_t *cores, pthread_t thread) {
    pthread_setaffinity_np(thread, sizeof *cores, cores);
}
#else
typedef int cyd_cores_t;

static int cyd_find_cores(cyd_cores_t *all, cyd_cores_t *others) {
    (void)all, (void)others;
    return 0;
}

static void cyd_keep_to(const cyd_cores_t *cores, pthread_t thread) {
    (void)cores, (void)thread;
}
#endif

#endif
