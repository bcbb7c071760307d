"""Random calls of functions, masks and layers, drawn by hypothesis, beside their references.

``tests/campaign/fuzz.py --long`` makes a million calls, in processes of their own: the first has
the seed ``--seed``, each next one more. ``--only PROPERTY --seed SEED -- EXAMPLES`` repeats one.
Layouts, dtypes, rates, axes, offsets up to 2**64, threads and places for results are drawn, and
lengths of 0 and of more than a tile; and odd arguments of functions, masks and the trainer, which
must be taken, or refused by name with nothing changed. hypothesis shows the simplest example of a
fault that it finds.
"""

from __future__ import annotations

import faulthandler
import functools
import multiprocessing
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import common
import hypothesis
import hypothesis.strategies as st
from draws import Counted, Draws
from functional_cases import OTHERS
from functions import PROPERTIES

import cydropout

campaign = common.Campaign(__file__, __doc__)
#: Calls of each function, of all properties.
CALLS = Counter[str]()
#: How many examples one process makes, and how long it may take, in seconds.
PART, PATIENCE = 2000, 1800
#: What masks are made of, and which properties have no word of.
BASES = {"BaseMask", "BitMask", "NoiseMask", "RegionMask", "head_axis", "inside_heads"}


def attempt(to: Any, holds: Callable[[Draws], None], seed: int, count: int) -> None:
    """Try so many examples of a property, and send how many calls these made, or what was wrong."""
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, deadline=None, report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(st.data())
    def examples(data: st.DataObject) -> None:
        holds(Draws(data.draw))

    faulthandler.enable()
    warnings.simplefilter("error")
    try:
        examples()
    except Exception:
        to.send((Counter(), traceback.format_exc(limit=-4)))
    else:
        to.send((Counted.calls, ""))


def search(name: str, job: common.Job) -> str:
    """Try a property in processes that may crash, as many at once as there are cores."""
    count = int(job.arguments[0]) if job.arguments else job.size(40, 20000)
    seeds, found = range(job.seed, job.seed - (-count // PART)), Counter[str]()
    cores = cydropout.functional.available_cores()
    for first in seeds[::cores]:
        running = []
        for seed in seeds[first - job.seed :][:cores]:
            receiver, sender = multiprocessing.Pipe(duplex=False)
            running.append((seed, receiver, common.forked(
                attempt, sender, PROPERTIES[name], seed, min(count, PART))))
            sender.close()
        for seed, receiver, process in running:
            try:
                calls, error = receiver.recv() if receiver.poll(PATIENCE) else (None, "hangs")
            except EOFError:
                process.join()
                calls, error = None, f"ended by signal {-process.exitcode}"
            process.kill()
            if error:
                raise AssertionError(f"--only {name} --seed {seed} -- {min(count, PART)}\n{error}")
            found += calls
    found = found or Counter({"layers, trainers and odd arguments": count})
    CALLS.update(found)
    return f"{count} examples, {found.total()} calls"


for name in PROPERTIES:
    campaign.checks[name] = functools.partial(search, name)


@campaign.check
def every_function(job: common.Job) -> str:
    """Count what was called; a public function that no property calls is a fault."""
    public = {*cydropout.functional.__all__, *cydropout.masks.__all__} - OTHERS - BASES
    missed = public - {*CALLS}
    assert not missed, f"no property calls {', '.join(sorted(missed))}"
    return f"{CALLS.total()} calls; of all {len(public)} public functions and masks"


if __name__ == "__main__":
    sys.exit(campaign.main())
