/* One team of threads: the caller, and workers that help where they come in time.
 *
 * The units of a job lie in one range a member, taken in chunks by a counter each; who has done its own
 * range helps with the others'. So a member that the system runs late finds less to do, or nothing, and
 * the caller only waits for chunks that were begun. Which member ran a unit never changes its result.
 */
#ifndef CYDROPOUT_TEAM_H
#define CYDROPOUT_TEAM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "cores.h"

#define CYD_LARGEST_TEAM 1024
#define CYD_CHUNKS 16                 /* of a member's range */
#define CYD_CHUNK_ELEMENTS 16384      /* a smaller chunk costs more to share than to do */
#define CYD_AWAKE_NS 1000000          /* how long an idle worker looks for work before it sleeps */
#define CYD_DISTURBED_NS 100000       /* a look that took so long: somebody else needs this core */
#define CYD_WAKE_NS 3000              /* what it costs to wake the workers */
#define CYD_LONG_NS 1000000           /* beside work this long it costs nothing */
#define CYD_PATIENCE 64               /* jobs until workers are woken again after it did not pay */
#define CYD_LARGEST_CREDIT 8

typedef void (*cyd_unit_fn)(const void *x, void *y, const void *settings, uint64_t begin, uint64_t end);

/* What the launcher remembers, to know whether it pays to wake workers: where the work lasts much longer
 * than they take to come or than a wake costs, or where they are still awake at the next job. Beside
 * other threads that look for work on the same cores short work meets neither; then it is only tried
 * now and again. */
typedef struct {
    uint64_t late;                    /* ns that the workers last took to come, or did not come in */
    uint64_t credit, skipped;         /* wakes that later jobs have paid for; work since the last wake */
    uint64_t teams, awake, woken, in_vain;
} cyd_memory_t;

static int cyd_worth_waking(cyd_memory_t *memory, uint64_t remaining) {
    if (remaining < CYD_WAKE_NS) return 0;
    if (remaining < 30 * memory->late && remaining < CYD_LONG_NS) {
        if (memory->credit) memory->credit--;
        else if (memory->skipped++ < CYD_PATIENCE) return 0;
    }
    memory->skipped = 0;
    return 1;
}

static void cyd_found_awake(cyd_memory_t *memory) {
    memory->awake++;
    memory->credit += memory->credit < CYD_LARGEST_CREDIT;
}

/* The first worker came `late` ns after it was woken, or none did while so much work was done. */
static void cyd_remember(cyd_memory_t *memory, uint64_t late, int came) {
    memory->late = late;
    memory->in_vain += !came;
}

typedef struct {
    _Atomic uint64_t next;
    uint64_t end;
    pthread_cond_t bell;              /* the member's */
    pthread_t thread;
    _Atomic int asleep;
    int kept;                         /* to other cores than that of who woke it */
} cyd_range_t;

/* The gate: how many workers are inside, whether it is open, and which job this is. */
#define CYD_OPEN ((uint64_t)1 << 32)
#define CYD_JOB ((uint64_t)1 << 33)

typedef struct {
    pthread_mutex_t door;             /* held by the caller whose job runs */
    pthread_mutex_t bed;
    _Atomic uint64_t gate;
    _Atomic uint64_t came;            /* when the first worker came, 0 before */
    int workers;
    cyd_cores_t cores;                /* of the last caller that woke them */
    _Atomic uint64_t time, tick;      /* for tests: a clock that moves by `tick` at every look, */
    int deaf;                         /* and workers that do not hear the bell */
    cyd_unit_fn unit;
    const void *x, *settings;
    void *y;
    uint64_t chunk;
    int members, together;            /* together: one unit a member, all at once */
    cyd_memory_t memory;
    struct {
        _Alignas(64) cyd_range_t range; /* cache lines of its own */
    } each[CYD_LARGEST_TEAM];
} cyd_team_t;

static cyd_team_t cyd_team = {.door = PTHREAD_MUTEX_INITIALIZER, .bed = PTHREAD_MUTEX_INITIALIZER,
                              .memory = {.credit = 1}};

static uint64_t cyd_now(void) {
    struct timespec time;
    if (cyd_team.tick) return atomic_fetch_add(&cyd_team.time, cyd_team.tick);
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline void cyd_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Do one chunk of a range; 0 when there is none left. */
static inline uint64_t cyd_take(cyd_range_t *range) {
    if (atomic_load_explicit(&range->next, memory_order_relaxed) >= range->end) return 0;
    uint64_t chunk = cyd_team.chunk;
    uint64_t begin = atomic_fetch_add_explicit(&range->next, chunk, memory_order_relaxed);
    if (begin >= range->end) return 0;
    uint64_t end = begin + chunk < range->end ? begin + chunk : range->end;
    cyd_team.unit(cyd_team.x, cyd_team.y, cyd_team.settings, begin, end);
    return end - begin;
}

static void cyd_help(int member) {
    const int members = cyd_team.members;
    for (int i = 0; i < (cyd_team.together ? 1 : members); i++) {
        while (cyd_take(&cyd_team.each[(member + i) % members].range)) {}
    }
}

/* Enter a job that is open and that this worker has not seen; return whether there was one. */
static int cyd_enter(uint64_t *seen) {
    uint64_t gate = atomic_load_explicit(&cyd_team.gate, memory_order_acquire);
    while (gate & CYD_OPEN && gate / CYD_JOB != *seen) {
        if (atomic_compare_exchange_weak_explicit(&cyd_team.gate, &gate, gate + 1,
                                                  memory_order_acq_rel, memory_order_acquire)) {
            *seen = gate / CYD_JOB;
            return 1;
        }
    }
    return 0;
}

static void cyd_sleep(int member, uint64_t seen) {
    pthread_mutex_lock(&cyd_team.bed);
    atomic_store(&cyd_team.each[member].range.asleep, 1); /* before the last look: the caller opens first */
    uint64_t gate = atomic_load(&cyd_team.gate);
    if (!(gate & CYD_OPEN) || gate / CYD_JOB == seen) {
        while (atomic_load(&cyd_team.each[member].range.asleep)) {
            pthread_cond_wait(&cyd_team.each[member].range.bell, &cyd_team.bed);
        }
        if (cyd_team.each[member].range.kept) cyd_keep_to(&cyd_team.cores, pthread_self());
    }
    atomic_store(&cyd_team.each[member].range.asleep, 0);
    pthread_mutex_unlock(&cyd_team.bed);
}

static void cyd_wake(int workers) {
    if (cyd_team.deaf) return;
    pthread_mutex_lock(&cyd_team.bed);
    cyd_cores_t others;
    const int known = cyd_find_cores(&cyd_team.cores, &others);
    for (int i = 1; i <= workers; i++) {
        cyd_range_t *range = &cyd_team.each[i].range;
        if (!atomic_load(&range->asleep)) continue;
        if (known) cyd_keep_to(&others, range->thread);
        range->kept = known;
        atomic_store(&range->asleep, 0);
        pthread_cond_signal(&range->bell);
    }
    pthread_mutex_unlock(&cyd_team.bed);
}

/* Wait for a job. Who waits gives its core to any other thread that wants it, and sleeps soon. */
static void cyd_await(int member, uint64_t *seen, int spare) {
    if (spare) cyd_sleep(member, *seen);
    uint64_t since = cyd_now(), before = since;
    while (!cyd_enter(seen)) {
        for (int look = 0; look < 64; look++) {
            uint64_t gate = atomic_load_explicit(&cyd_team.gate, memory_order_relaxed);
            if (gate & CYD_OPEN && gate / CYD_JOB != *seen) break;
            cyd_pause();
        }
        sched_yield();
        uint64_t now = cyd_now();
        if (now - since > CYD_AWAKE_NS || now - before > CYD_DISTURBED_NS) {
            cyd_sleep(member, *seen);
            now = since = cyd_now();
        }
        before = now;
    }
}

static void *cyd_work(void *argument) {
    const int member = (int)(intptr_t)argument;
    uint64_t seen = UINT64_MAX;
    int spare = 0; /* the last job was for a smaller team */
    for (;;) {
        cyd_await(member, &seen, spare);
        spare = member >= cyd_team.members;
        if (!spare) {
            if (!atomic_load_explicit(&cyd_team.came, memory_order_relaxed)) {
                uint64_t none = 0;
                atomic_compare_exchange_strong(&cyd_team.came, &none, cyd_now());
            }
            cyd_help(member);
        }
        atomic_fetch_sub_explicit(&cyd_team.gate, 1, memory_order_acq_rel);
    }
    return NULL;
}

/* In a forked child there are no workers, and whoever held the door is not there to open it. */
static void cyd_forget_team(void) {
    cyd_memory_t memory = cyd_team.memory;
    memset(&cyd_team, 0, sizeof cyd_team);
    pthread_mutex_init(&cyd_team.door, NULL);
    pthread_mutex_init(&cyd_team.bed, NULL);
    cyd_team.memory = memory;
}

/* Before any fork, for there is no moment at which the first team could be sure to be in time. */
__attribute__((constructor)) static void cyd_register(void) {
    pthread_atfork(NULL, NULL, cyd_forget_team);
}

/* Have so many workers, or as many as the system gives; their signals are the main thread's. */
static void cyd_grow(int workers) {
    pthread_attr_t attributes;
    sigset_t all, before;
    if (workers > CYD_LARGEST_TEAM - 1) workers = CYD_LARGEST_TEAM - 1;
    if (cyd_team.workers >= workers) return;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (cyd_team.workers < workers) {
        const int member = cyd_team.workers + 1;
        cyd_range_t *range = &cyd_team.each[member].range;
        pthread_cond_init(&range->bell, NULL);
        if (pthread_create(&range->thread, &attributes, cyd_work, (void *)(intptr_t)member)) break;
        cyd_team.workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

static void cyd_open(cyd_unit_fn unit, const void *x, void *y, const void *settings, uint64_t units,
                     uint64_t chunk, int members, int together) {
    cyd_team.unit = unit, cyd_team.x = x, cyd_team.y = y, cyd_team.settings = settings;
    cyd_team.members = members, cyd_team.together = together, cyd_team.chunk = chunk;
    for (int i = 0; i < members; i++) {
        cyd_team.each[i].range.end = units * (uint64_t)(i + 1) / (uint64_t)members;
        atomic_store_explicit(&cyd_team.each[i].range.next, units * (uint64_t)i / (uint64_t)members,
                              memory_order_relaxed);
    }
    atomic_store_explicit(&cyd_team.came, 0, memory_order_relaxed);
    uint64_t gate = atomic_load_explicit(&cyd_team.gate, memory_order_relaxed);
    atomic_store(&cyd_team.gate, (gate / CYD_JOB + 1) * CYD_JOB + CYD_OPEN);
}

/* How many of the first workers are asleep. */
static int cyd_asleep(int workers) {
    int count = 0;
    for (int i = 1; i <= workers; i++) count += atomic_load(&cyd_team.each[i].range.asleep);
    return count;
}

/* Let no more workers in, and wait for those inside. */
static void cyd_close(void) {
    int looks = 0;
    atomic_fetch_and(&cyd_team.gate, ~CYD_OPEN);
    while ((uint32_t)atomic_load_explicit(&cyd_team.gate, memory_order_acquire)) {
        if (looks++ < 1000) cyd_pause();
        else sched_yield();
    }
}

static void cyd_run_team(cyd_unit_fn unit, const void *x, void *y, const void *settings,
                         uint64_t elements, uint64_t units, int members) {
    if (members > CYD_LARGEST_TEAM) members = CYD_LARGEST_TEAM;
    if (pthread_mutex_trylock(&cyd_team.door)) { /* another thread's job runs: its team is busy */
        unit(x, y, settings, 0, units);
        return;
    }
    cyd_grow(members - 1);
    uint64_t share = (units + (uint64_t)members - 1) / (uint64_t)members;
    uint64_t least = CYD_CHUNK_ELEMENTS * units / (elements ? elements : 1);
    uint64_t chunk = share / CYD_CHUNKS > least ? share / CYD_CHUNKS : least;
    cyd_open(unit, x, y, settings, units, chunk ? chunk : 1, members, 0);
    cyd_team.memory.teams++;
    uint64_t woken = 0, remaining = 0;
    if (!cyd_asleep(members - 1)) {
        cyd_found_awake(&cyd_team.memory);
    } else {
        uint64_t begun = cyd_now();
        uint64_t did = cyd_take(&cyd_team.each[0].range);
        uint64_t now = cyd_now();
        remaining = did ? (now - begun) * (units - did) / did : 0;
        if (remaining && cyd_worth_waking(&cyd_team.memory, remaining)) {
            cyd_team.memory.woken++;
            woken = now;
            cyd_wake(members - 1);
        }
    }
    cyd_help(0);
    cyd_close();
    if (woken) {
        uint64_t came = atomic_load(&cyd_team.came);
        uint64_t late = came > woken ? came - woken : 0; /* some may come before they are woken */
        cyd_remember(&cyd_team.memory, came ? late : remaining, came != 0);
    }
    pthread_mutex_unlock(&cyd_team.door);
}

/* The threads of a host library, such as PyTorch: its parallel_for, and how many threads that has. */
typedef int (*cyd_parallel_for_fn)(int64_t begin, int64_t end, int64_t grain,
                                   void (*work)(int64_t begin, int64_t end, void *job), void *job);
typedef int (*cyd_host_threads_fn)(uint32_t *count);

static cyd_parallel_for_fn cyd_host_parallel_for;
static cyd_host_threads_fn cyd_host_threads;

typedef struct {
    cyd_unit_fn unit;
    const void *x, *settings;
    void *y;
    uint64_t units, chunk;
    _Atomic uint64_t next;
} cyd_hosted_t;

static void cyd_work_hosted(int64_t begin, int64_t end, void *job) {
    cyd_hosted_t *hosted = (cyd_hosted_t *)job;
    (void)begin, (void)end;
    for (;;) {
        uint64_t at = atomic_fetch_add_explicit(&hosted->next, hosted->chunk, memory_order_relaxed);
        if (at >= hosted->units) return;
        uint64_t last = at + hosted->chunk < hosted->units ? at + hosted->chunk : hosted->units;
        hosted->unit(hosted->x, hosted->y, hosted->settings, at, last);
    }
}

/* Run a job on the threads of the host; 0 if there is no host, or it has one thread alone. */
static int cyd_run_hosted(cyd_unit_fn unit, const void *x, void *y, const void *settings,
                          uint64_t elements, uint64_t units) {
    uint32_t count = 1;
    if (!cyd_host_parallel_for || cyd_host_threads(&count) || count < 2) return 0;
    uint64_t least = CYD_CHUNK_ELEMENTS * units / (elements ? elements : 1);
    uint64_t chunk = units / (4 * count) > least ? units / (4 * count) : least;
    cyd_hosted_t job = {unit, x, settings, y, units, chunk ? chunk : 1, 0};
    if (cyd_host_parallel_for(0, count, 1, cyd_work_hosted, &job)) cyd_work_hosted(0, 1, &job);
    return 1;
}

/* Make the workers of so many members; whether all could be made. */
static int cyd_have(int members) {
    pthread_mutex_lock(&cyd_team.door);
    cyd_grow(members - 1);
    int have = cyd_team.workers >= members - 1;
    pthread_mutex_unlock(&cyd_team.door);
    return have;
}

/* Run one unit on each member, all at once: they wait for each other. */
static void cyd_run_together(cyd_unit_fn unit, const void *settings, int members) {
    pthread_mutex_lock(&cyd_team.door);
    while (cyd_team.workers < members - 1) {
        cyd_grow(members - 1);
        const struct timespec while_none_can_be_made = {0, 1000000};
        if (cyd_team.workers < members - 1) nanosleep(&while_none_can_be_made, NULL);
    }
    cyd_open(unit, NULL, NULL, settings, (uint64_t)members, 1, members, 1);
    if (cyd_asleep(members - 1)) cyd_wake(members - 1);
    cyd_help(0);
    for (int i = 1; i < members; i++) {
        int looks = 0;
        while (atomic_load_explicit(&cyd_team.each[i].range.next, memory_order_relaxed) < cyd_team.each[i].range.end) {
            if (looks++ < 1000) cyd_pause();
            else sched_yield();
        }
    }
    cyd_close();
    pthread_mutex_unlock(&cyd_team.door);
}

#endif
