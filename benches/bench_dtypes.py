"""Forward dropout of every floating dtype."""

from suite.case import Case


def cases(full):
    for power in (20, 24) if full else (20,):
        for dtype in ("float32", "float64", "float16", "bfloat16") if full else ("float16",):
            yield Case("forward", (2**power,), dtype=dtype)
