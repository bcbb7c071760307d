"""What the library has set itself, beside what was measured."""

import dataclasses
import math

from contenders import BATCHWISE


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
           lambda c: c.rate == 0.5 and not c.per_neuron and c.size == MI, 1.8, 15),
    Target("draw + apply, any rate, 1 Mi", "rates", lambda c: c.size == MI, 4, 8),
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


#: Of an epoch over that of the fastest peer, by the hidden layers.
PEERS = {(512,): 0.6, (1024, 1024, 1024): 0.85}
#: Beyond the products and Adam's pass, at batch 128.
OVERHEAD = 1.2
#: Of a training step over that of the fastest peer.
NETWORK = 1.0
#: Of an epoch with batchwise dropout over one without dropout, at rate .5.
SMALLER = {(512,): 0.8, (1024, 1024, 1024): 0.5, (8192, 8192): 0.4}


def steps(results):
    """Return a table of training epochs and steps, each beside its target."""
    lines = []
    found = results.get("steps", [])
    for outcome in (o for o in found if o.case.operation == "epoch" and o.find("cydropout")):
        ours, net = outcome.find("cydropout").median, _net(outcome.case)
        if peers := outcome.peers():
            lines.append(_line(f"{net}, over {peers[0].contender}", ours / peers[0].median,
                               PEERS[outcome.case.hidden]))
        bare = [o.find("cydropout") for o in found if o.case.operation == "products"
                and (o.case.hidden, o.case.batch) == (outcome.case.hidden, outcome.case.batch)]
        if bare and outcome.case.batch == 128:
            lines.append(_line(f"{net}, over its products and Adam's pass",
                               ours / bare[0].median, OVERHEAD))
    for outcome in results.get("networks", []):
        ours, peers = outcome.find("cydropout"), outcome.peers()
        if ours and peers:
            lines.append(_line(f"{outcome.case.fields()[0]}, over {peers[0].contender}",
                               ours.median / peers[0].median, NETWORK))
    for outcome in results.get("batchwise", []):
        whole, dropout = outcome.find("cydropout, no dropout"), outcome.find("cydropout")
        for entry in outcome.entries:
            if outcome.case.rate != 0.5 or entry.contender not in BATCHWISE:
                continue
            text = f"{_net(outcome.case)}, {entry.contender}, over"
            lines.append(_line(f"{text} no dropout", entry.median / whole.median,
                               SMALLER[outcome.case.hidden]))
            lines.append(_line(f"{text} `Dropout`", entry.median / dropout.median, 1))
    if not lines:
        return ""
    return "\n".join(["| training | ratio | at most | met |", "|---|---|---|---|", *lines])


def _net(case):
    return f"{'-'.join(map(str, (case.shape[1], *case.hidden, 10)))}, batch {case.batch}"


def _line(text, ratio, most):
    return f"| {text} | {ratio:.2f} | {most:g} | {'yes' if ratio <= most else '**no**'} |"


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
