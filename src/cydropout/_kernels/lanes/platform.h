/* What this machine and this build of the library can do. */
#ifndef CYDROPOUT_PLATFORM_H
#define CYDROPOUT_PLATFORM_H

#ifdef _OPENMP
#include <omp.h>
#define CYD_OPENMP _OPENMP
#else
#define CYD_OPENMP 0
#endif

/* Whether a parallel region that asks for so many threads is sure to get them. */
static int cyd_can_run(int threads) {
#ifdef _OPENMP
    return omp_get_thread_limit() >= threads && !omp_get_dynamic();
#else
    return 0;
#endif
}

/* 0: baseline, 3: x86-64-v3, 4: x86-64-v4. */
static int cyd_cpu_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#if defined(__clang__) || __GNUC__ < 12
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
          __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))) return 0;
#else
    if (!__builtin_cpu_supports("x86-64-v3")) return 0;
#endif
    if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
          __builtin_cpu_supports("avx512vl"))) return 3;
    return 4;
#else
    return 0;
#endif
}

#endif
