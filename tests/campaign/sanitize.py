"""The tests under the compiler's sanitizers: addresses and undefined behaviour, and data races.

``python tests/campaign/sanitize.py --long`` builds the kernels with them, in a copy and an
environment of their own, and runs the tests. What stands behind ``--`` goes to pytest, as in
``--only threads -- -k stream``. The short form builds nothing: it says whether the compiler's
runtimes load beside Python.
"""

import re
import sys
from pathlib import Path

import common
from building import borrowing, install, pytest, sources, tool
from common import Job, Skip, run

campaign = common.Campaign(__file__, __doc__)
#: What a report of a fault holds; a warning of an allocation that fails by intent does not.
FAULT = re.compile(r"ERROR: |runtime error: |WARNING: ThreadSanitizer")
#: Tests that measure time, read what the kernels are linked to, or build and bench in other
#: processes.
NOT_ADDRESS = ["test_benches.py", "test_cimport.py", "test_docs.py", "test_docs_built.py",
               "test_examples.py", "test_layout.py", "test_campaign.py", "test_bench_command.py",
               "test_packages.py", "test_tuning_stops.py"]
#: Tests that use threads of Python.
THREADED = ["test_team.py", "test_threads.py", "test_random.py", "test_masks.py",
            "test_refused_draws.py", "test_kernels.py", "test_dropout.py", "test_monte_carlo.py",
            "test_python_threads.py"]
#: Only our own modules are built with it. What others do behind its back looks like races.
SUPPRESSED = """
# Python itself, whose lock orders what its threads do
called_from_lib:libpython
race:_Py
race:Py
# what Cython makes to allocate, collect and free its types, under the lock of Python
race:__pyx_tp_
# OpenMP of the libraries beside: its barriers are futexes, which the sanitizer does not see
called_from_lib:libgomp
# BLAS and NumPy, for the same reason
called_from_lib:libscipy_openblas
called_from_lib:_multiarray_umath
"""


def runtime(name: str) -> str:
    """Return the library that must be loaded before Python, or skip."""
    path = run([tool("gcc"), f"-print-file-name=lib{name}.so"]).strip()
    if not Path(path).is_absolute():
        raise Skip(f"gcc has no lib{name}.so")
    return path


def sanitized(job: Job, flags: str, preload: list[str], files: list[str], **options: str) -> str:
    """Build with a sanitizer, run tests, and read what it wrote, in whatever process."""
    reports = job.folder / "reports"
    reports.mkdir()
    environment = {"LD_PRELOAD": " ".join(map(runtime, preload)), "PYTHONMALLOC": "malloc",
                   "OPENBLAS_NUM_THREADS": "1"}
    environment |= {name: f"{value}:log_path={reports}/report" for name, value in options.items()}
    run([sys.executable, "-c", "import numpy"], env=environment)
    if not job.long:
        return "the runtime loads"
    copy, python = sources(job.folder), borrowing(job.folder)
    install(python, copy, CC="gcc", LDSHARED="gcc -shared", LDFLAGS=flags,
            CFLAGS=f"-g1 -fno-omit-frame-pointer {flags}")
    arguments = job.arguments or files
    try:
        line = pytest(python, copy, *arguments, **environment)
    finally:
        check_reports(reports)  # they say more than a test that failed by them
    return f"{line}; no report"


def check_reports(folder: Path) -> None:
    """Raise if a sanitizer has written down a fault."""
    found = [text for path in sorted(folder.iterdir())
             if FAULT.search(text := path.read_text(errors="replace"))]
    kinds = sorted({line for text in found for line in text.splitlines() if "SUMMARY" in line})
    assert not found, "\n".join([*kinds, f"{len(found)} reports, the first:", found[0][:4000]])


@campaign.check
def address_and_undefined(job: Job) -> str:
    """AddressSanitizer and UBSan over the suite."""
    files = [f"--ignore=tests/{name}" for name in NOT_ADDRESS]
    return sanitized(
        job, "-fsanitize=address,undefined -fno-sanitize-recover=undefined",
        ["asan", "ubsan", "stdc++"], files,
        ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1",
        UBSAN_OPTIONS="print_stacktrace=1")


@campaign.check
def threads(job: Job) -> str:
    """ThreadSanitizer over the tests that use threads."""
    suppressions = job.folder / "suppressions"
    suppressions.write_text(SUPPRESSED)
    options = f"suppressions={suppressions}:report_signal_unsafe=0:die_after_fork=0:exitcode=0"
    options += ":allocator_may_return_null=1"  # of a test that asks for too much
    return sanitized(job, "-fsanitize=thread", ["tsan"], [f"tests/{name}" for name in THREADED],
                     TSAN_OPTIONS=options)


if __name__ == "__main__":
    sys.exit(campaign.main())
