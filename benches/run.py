"""Time dropout beside its peers and write what was found.

    python benches/run.py --quick
    python benches/run.py --full --output benches
"""

import argparse
import dataclasses
import importlib
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from contenders import CONTENDERS, DEFAULT, library
from suite import race, regression, report, tables
from suite.machine import available_cores
from suite.pool import Pool

BENCHES = ("pipeline", "rates", "sizes", "backward", "mask", "ready", "fused", "dtypes",
           "shared_axes", "variants", "steps", "networks", "batchwise", "threads", "builds",
           "overhead", "memory", "torch", "estimators", "processes")
EFFORTS = {"quick": race.Effort(10, 0.12), "full": race.Effort(24, 0.4, least=5)}


class Bar:
    """The progress of the run: tqdm's bar, or a line a case where tqdm is not installed."""

    def __init__(self, cases):
        self.name = ""
        try:
            from tqdm import tqdm
        except ImportError:
            self.bar = None
        else:
            self.bar = tqdm(total=cases, unit="case", dynamic_ncols=True, mininterval=0.5)

    def tell(self, text):
        if self.bar is not None:
            self.bar.set_description_str(self.name, refresh=False)
            self.bar.set_postfix_str(text)

    def say(self, text):
        if self.bar is None:
            print(f"{text}\n", flush=True)
        else:
            self.bar.write(f"{text}\n")

    def finish(self, text):
        self.say(text)
        if self.bar is not None:
            self.bar.update()

    def close(self):
        if self.bar is not None:
            self.bar.set_postfix_str("")
            self.bar.close()


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="under three minutes (the default)")
    length.add_argument("--full", action="store_true", help="every size, rate and dtype")
    parser.add_argument("--only", metavar="NAME", action="append", choices=BENCHES,
                        help=f"one of {', '.join(BENCHES)}; may be given more than once")
    parser.add_argument("--peer", metavar="NAME", action="append",
                        help="only this peer, such as NumPy; may be given more than once")
    parser.add_argument("--threads", type=int, default=available_cores()[0],
                        help="of each contender")
    parser.add_argument("--output", type=Path, metavar="DIR",
                        help="where RESULTS.md, results.json and plots go (default: nowhere)")
    parser.add_argument("--report", type=Path, metavar="DIR",
                        help="only write RESULTS.md and plots again, from the results.json there")
    parser.add_argument("--against", type=Path, metavar="DIR",
                        help="end with 1 if a case is slower than in the results.json there")
    parser.add_argument("--python", metavar="LIBRARY=PATH", action="append", default=[],
                        help="the interpreter of a library, such as tensorflow=/env/bin/python")
    options = parser.parse_args(arguments)
    if options.threads < 1:
        parser.error(f"--threads must be 1 or more, not {options.threads}")
    for name in set(options.peer or ()) - set(DEFAULT):
        parser.error(f"--peer must be one of {', '.join(DEFAULT[1:])}, not {name}")
    for name in ("report", "against"):
        given = getattr(options, name)
        if given and not (given / "results.json").is_file():
            parser.error(f"--{name} needs a results.json in {given}")
    options.pythons = {}
    libraries = sorted({library(name) for name in CONTENDERS})
    for given in options.python:
        name, _, path = given.partition("=")
        if name not in libraries or not Path(path).is_file():
            parser.error(f"--python must be LIBRARY=PATH, with a library of {', '.join(libraries)} "
                         f"and an interpreter that exists, not {given}")
        options.pythons[name] = path
    return options


def measure(options, pool, wanted=lambda name, case: True):
    """Run the benches' wanted cases; return their outcomes by name."""
    effort = EFFORTS["full" if options.full else "quick"]
    chosen = {name: [case for case in importlib.import_module(f"bench_{name}").cases(options.full)
                     if wanted(name, case)]
              for name in BENCHES if not options.only or name in options.only}
    bar = Bar(sum(map(len, chosen.values())))
    bar.tell("contenders start")
    pool.start(DEFAULT)
    if "cydropout" in pool.missing:
        sys.exit(f"cydropout cannot be imported ({pool.missing['cydropout']}); "
                 "install it first, with: pip install .")
    results = {}
    for name, cases in chosen.items():
        for case in cases:
            bar.name = name
            outcome = race.run(case, pool, effort, bar.tell)
            results.setdefault(name, []).append(outcome)
            bar.finish(tables.table(outcome))
        if name in results and (text := report.below(name, results[name])):
            bar.say(text)
    bar.close()
    return results


def compare(options, pool, fields):
    """Say what is slower than in an earlier run, measured twice; return whether."""
    before = json.loads((options.against / "results.json").read_text())
    found = regression.slower(before, fields)
    if found:
        suspects = {key[:2] for key in found}
        again = measure(options, pool, lambda name, case: (
            name, regression.name(dataclasses.asdict(case))) in suspects)
        later = regression.slower(before, report.facts(options.full, pool, again, 0))
        found = {key: ratio for key, ratio in later.items() if key in found}
    compared = len(regression.ratios(before).keys() & regression.ratios(fields).keys())
    print(regression.table(found, compared, before["date"]))
    return bool(found)


def main():
    options = parse()
    if options.report:
        print(f"wrote {', '.join(report.write_pages(options.report))} to {options.report}")
        return
    begin = time.monotonic()
    pool = Pool(options.pythons, options.threads, options.peer)
    try:
        results = measure(options, pool)
        fields = report.facts(options.full, pool, results, time.monotonic() - begin)
        slower = bool(options.against) and compare(options, pool, fields)
    finally:
        pool.close()
    print(report.summary(fields, results))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        report.write_json(options.output, report.merged(options.output, fields))
        files = report.write_pages(options.output)
        print(f"\nwrote results.json, {', '.join(files)} to {options.output}")
    return int(slower)


if __name__ == "__main__":
    sys.exit(main())
