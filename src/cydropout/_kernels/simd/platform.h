/* What this machine can do. */
#ifndef CYDROPOUT_PLATFORM_H
#define CYDROPOUT_PLATFORM_H

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
