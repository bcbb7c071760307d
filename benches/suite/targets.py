"""What the library has set itself, beside what was measured."""

import dataclasses
import math

from contenders import BATCHWISE
from suite import estimators, processes
from suite.case import TEST_ERROR


@dataclasses.dataclass
class Target:
    """At most `limit` times the scale copy, at least `peer` times faster than any peer."""

    text: str
    bench: str
    choose: object                    # of the cases of the bench, whether it counts
    limit: float = math.inf
    peer: float = 0.0
    microseconds: float = math.inf    # or this much for the whole call
    contender: str = "cydropout"


MI = 2**20
TARGETS = [
    Target("draw + apply, rate .5, 16 Mi and more", "sizes",
           lambda c: c.rate == 0.5 and c.size >= 16 * MI, 1.2, 10),
    Target("draw + apply, any rate, 16 Mi and more", "rates", lambda c: c.size >= 16 * MI, 1.6, 7),
    Target("draw + apply, rate .5, 1 Mi", "rates",
           lambda c: c.rate == 0.5 and not c.per_neuron and c.size == MI, 1.2, 15),
    Target("draw + apply, rate .1, 1 Mi", "rates",
           lambda c: c.rate == 0.1 and not c.per_neuron and c.size == MI, 1.8, 8),
    Target("draw + apply, a rate per neuron, 1 Mi", "rates",
           lambda c: c.per_neuron and c.size == MI, 1.8, 8),
    Target("draw + apply, any rate, 1 Mi", "rates", lambda c: c.size == MI, 4, 8),
    Target("maps of 4 x 4 that share a bit, 4 Mi", "shared_axes",
           lambda c: c.size == 4 * MI and c.shape[-2:] == (4, 4), 1.5),
    Target("ready bits applied, 1 Mi", "ready", lambda c: c.size == MI, 1.4),
    Target("forward + backward, rate .5, 1 Mi and 16 Mi", "backward",
           lambda c: c.rate == 0.5, 3, 15),
    Target("fused bias + ReLU + dropout, 1 Mi", "fused",
           lambda c: c.operation == "fused" and c.size == MI, 2.2, 8),
    Target("whole call, 4096 elements: 3 µs, or 10 times faster", "overhead",
           lambda c: c.size == 4096, peer=10, microseconds=3),
    Target("AVX2 build, draw + apply, rate .5, 1 Mi", "builds", lambda c: c.rate == 0.5, 4,
           contender="cydropout x86_64_v3"),
]


def _figures(target, outcome):
    """Return the ratios to the limit and of the fastest peer, and the median, in an outcome."""
    ours, limit, peers = outcome.find(target.contender), outcome.limit(), outcome.peers()
    return (ours.median / limit.median if limit else math.nan,
            peers[0].median / ours.median if peers else math.nan,
            peers[0].contender if peers else "", ours.median)


def _judge(target, outcomes):
    """Return the cells of a target's row: the worst of its cases counts."""
    chosen = [o for o in outcomes if target.choose(o.case) and o.find(target.contender)]
    if not chosen:
        return None
    figures = [_figures(target, outcome) for outcome in chosen]
    limit = max(f[0] for f in figures)
    peer, name = min((f[1], f[2]) for f in figures)
    micros = max(f[3] for f in figures)
    cells = [target.text, "", "", ""]
    met = []
    if target.limit < math.inf:
        cells[1] = f"{limit:.2f} (at most {target.limit:g})"
        met.append(limit <= target.limit)
    if target.microseconds < math.inf:
        cells[1] = f"{micros:.2f} µs"
        met.append(micros <= target.microseconds or peer >= target.peer)
    elif target.peer and name:
        met.append(peer >= target.peer)
    if target.peer and name:
        cells[2] = f"{peer:.1f} x {name} (at least {target.peer:g})"
    cells[3] = "yes" if all(met) else "**no**"
    return cells


def growth(results):
    """Return lines on threads and on size, which have no row of their own."""
    lines = []
    for outcome in results.get("threads", []):
        counts = sorted({e.threads for e in outcome.entries if e.contender == "cydropout"})
        if len(counts) == 2:
            one, all_ = (outcome.find("cydropout", count).median for count in counts)
            lines.append(f"- {outcome.case.title()}: {counts[1]} threads are {one / all_:.2f} "
                         "times faster than one (at least 1.6)")
    for rate in (0.5, 0.1):
        large = [o for o in results.get("sizes", [])
                 if o.case.rate == rate and o.case.size >= MI and o.limit()]
        if len(large) > 1:
            ratios = [o.find("cydropout").median / o.limit().median for o in large]
            lines.append(f"- rate {rate:g}, 1 Mi to the largest: {min(ratios):.2f} to "
                         f"{max(ratios):.2f} times the limit at that size")
    return lines


#: Of an epoch over its products and Adam's pass, and over the fastest peer.
STEPS = {((64,), 32): (1.4, 0.6), ((128,), 32): (1.3, 0.65), ((512,), 32): (1.12, 0.75),
         ((512,), 128): (1.12, 0.7), ((1024, 1024, 1024), 128): (1.05, 0.9)}
#: Of a training step over its products, and over the fastest peer.
NETWORKS = {"images": (1.6, 0.6), "characters": (1.15, 0.8), "sentences": (math.inf, 1.0)}
#: Of an epoch with dropout over one without.
DROPOUT = 1.02
#: Of an epoch with batchwise dropout over one without dropout, at rate .5, by contender.
SMALLER = {((512,), "BatchwiseDropout"): 0.7, ((512,), "BatchwiseDropout, a slice, lazy"): 0.6}
#: What it is of the others.
REST = {(512,): 0.8, (1024, 1024, 1024): 0.5, (8192, 8192): 0.4}


def _step(outcome, text, over_products, over_peer):
    """Return the lines of a step: over its products, the fastest peer, and no dropout."""
    ours = outcome.find("cydropout")
    bare, without = map(outcome.find, ("cydropout, products alone", "cydropout, no dropout"))
    lines, peers = [], outcome.peers()
    if bare and over_products < math.inf:
        lines.append(_line(f"{text}, over its products alone", ours.median / bare.median,
                           over_products))
    if peers:
        lines.append(_line(f"{text}, over {peers[0].contender}", ours.median / peers[0].median,
                           over_peer))
    if without:
        lines.append(_line(f"{text}, over no dropout", ours.median / without.median, DROPOUT))
    return lines


def steps(results):
    """Return a table of training epochs and steps, each beside its target."""
    lines = []
    for outcome in (o for o in results.get("steps", [])
                    if o.case.operation == "epoch" and o.find("cydropout")):
        lines += _step(outcome, _net(outcome.case), *STEPS[outcome.case.hidden, outcome.case.batch])
    for outcome in (o for o in results.get("networks", []) if o.find("cydropout")):
        lines += _step(outcome, outcome.case.fields()[0], *NETWORKS[outcome.case.variant])[:2]
    for outcome in results.get("batchwise", []):
        whole, dropout = outcome.find("cydropout, no dropout"), outcome.find("cydropout")
        for entry in outcome.entries:
            if outcome.case.rate != 0.5 or entry.contender not in BATCHWISE:
                continue
            text = f"{_net(outcome.case)}, {entry.contender}, over"
            lines.append(_line(f"{text} no dropout", entry.median / whole.median,
                               SMALLER.get((outcome.case.hidden, entry.contender),
                                           REST[outcome.case.hidden])))
            lines.append(_line(f"{text} `Dropout`", entry.median / dropout.median, 1))
    for outcome in results.get("processes", []):
        if all(map(outcome.find, (processes.WITH_COMM, processes.TWO))):
            lines.append(_line(f"{_net(outcome.case)}, 2 processes over 1",
                               0.5 / processes.efficiency(outcome), 0.5 / processes.LEAST))
    for outcome in results.get("estimators", []):
        ours, peers = outcome.find("cydropout"), outcome.peers()
        if not (ours and peers):
            continue
        text, theirs = ", ".join(outcome.case.fields()), peers[0].median
        if outcome.case.unit == TEST_ERROR:
            most = estimators.bound(outcome.case, theirs) / max(theirs, 1e-9)
            text = f"{text}: test error over {peers[0].contender}'s, without dropout"
        else:
            most, text = estimators.TIME[outcome.case.batch], f"{text}, over {peers[0].contender}"
            if bare := outcome.find("cydropout, products alone"):
                text += f" (the products and Adam's pass alone: {bare.median / theirs:.2f})"
        lines.append(_line(text, ours.median / max(theirs, 1e-9), most))
    if not lines:
        return ""
    return "\n".join(["| training | ratio | at most | met |", "|---|---|---|---|", *lines])


def _net(case):
    return f"{'-'.join(map(str, (case.shape[1], *case.hidden, 10)))}, batch {case.batch}"


def _line(text, ratio, most):
    return f"| {text} | {ratio:.2f} | {most:.3g} | {'yes' if ratio <= most else '**no**'} |"


def table(results):
    """Return the targets as a Markdown table, for the benches that ran."""
    rows = [_judge(target, results.get(target.bench, [])) for target in TARGETS]
    rows = [row for row in rows if row]
    if not rows:
        return steps(results)
    lines = ["| float32, all threads | to the limit | faster than the fastest peer | met |",
             "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    lines = "\n".join([*lines, "", *growth(results)]).rstrip()
    return "\n\n".join(filter(None, (lines, steps(results))))
