/* What this machine and this build of the library can do. */
#ifndef CYDROPOUT_PLATFORM_H
#define CYDROPOUT_PLATFORM_H

#include <stdint.h>

#ifdef _OPENMP
#include <omp.h>
#define CYD_OPENMP _OPENMP
#else
#define CYD_OPENMP 0
#endif

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

/* Bytes of the last-level cache, or a usual number where the system does not tell. */
static uint64_t cyd_cache_size(void) {
    long size = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
    size = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    return size > 0 ? (uint64_t)size : (uint64_t)1 << 25;
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
