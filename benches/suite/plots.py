"""Pictures of outcomes, where matplotlib is installed."""

import math
from itertools import pairwise

from contenders import BATCHWISE

BAR = "#4878a8"
OURS = "#c8553d"
LIMIT = "#444444"


def draw(results, directory):
    """Write the plots that the results allow; return their names and captions."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    made = []
    for rate in (0.5, 0.1):
        chosen = [o for o in results.get("sizes", []) if o.case.rate == rate and o.limit()]
        if len(chosen) > 2:
            name = f"sizes-{str(rate).replace('.', '')}.png"
            _against_size(plt, chosen, directory / name)
            made.append((name, f"time per element against size, rate {rate:g}"))
    chosen = [o for o in results.get("batchwise", []) if len(o.case.hidden) == 3]
    if len(chosen) > 2:
        _against_rate(plt, sorted(chosen, key=lambda o: o.case.rate), directory / "batchwise.png")
        made.append(("batchwise.png", "time of a training epoch against the rate"))
    for bench, operation, name, caption in (
        ("rates", "forward", "forward.png", "forward, rate 0.5, 1 Mi elements of float32"),
        ("backward", "forward_backward", "backward.png",
         "forward and backward, rate 0.5, 1 Mi elements of float32"),
        ("fused", "fused", "fused.png", "bias, ReLU and dropout, 1 Mi elements of float32"),
    ):
        chosen = [o for o in results.get(bench, [])
                  if o.case.operation == operation and o.case.rate == 0.5
                  and o.case.size == 2**20 and not o.case.per_neuron and o.limit()]
        if chosen:
            _bars(plt, chosen[0], caption, directory / name)
            made.append((name, caption))
    return made


def _against_size(plt, outcomes, path):
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    names = list(dict.fromkeys(e.contender for o in outcomes for e in o.entries
                               if e.operation == "forward"))
    for name in names:
        points = [(o.case.size, e.median) for o in outcomes if (e := o.find(name))]
        ours = name == "cydropout"
        axes.plot(*zip(*points, strict=True), label=name, marker="o", markersize=3,
                  linewidth=2.5 if ours else 1, color=OURS if ours else None,
                  zorder=3 if ours else 2)
    axes.plot([o.case.size for o in outcomes], [o.limit().median for o in outcomes],
              color=LIMIT, linestyle="--", linewidth=1.5, label="the limit: a scale copy")
    axes.set(xscale="log", yscale="log", xlabel="elements (float32)", ylabel="ns per element",
             title=f"Forward dropout, rate {outcomes[0].case.rate:g}")
    axes.set_xscale("log", base=2)
    ticks = [o.case.size for o in outcomes]
    axes.set_xticks(ticks, [_short(tick) for tick in ticks])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _against_rate(plt, outcomes, path):
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    rates = [o.case.rate for o in outcomes]
    whole = [o.find("cydropout, no dropout").median for o in outcomes]
    for name in ("cydropout", *BATCHWISE):
        found = [o.find(name).median / w for o, w in zip(outcomes, whole, strict=True)]
        axes.plot(rates, found, marker="o", markersize=4,
                  label="Dropout" if name == "cydropout" else name)
    axes.plot(rates, [_ideal(outcomes[0].case, rate) for rate in rates], color=LIMIT,
              linestyle="--", label="ideal: the products that are left")
    axes.axhline(1, color=LIMIT, linewidth=0.8)
    axes.set(xlabel="rate", ylabel="time over that without dropout", ylim=(0, None),
             title="-".join(map(str, (outcomes[0].case.shape[1], *outcomes[0].case.hidden, 10))))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _ideal(case, rate):
    """Return the share of the products that is left: between two dropped layers, q squared."""
    sizes = [case.shape[1], *case.hidden, 10]
    kept = [1, *(1 - rate for _ in case.hidden), 1]
    left = whole = 0
    for i, (m, n) in enumerate(pairwise(sizes)):
        products = 3 if i else 2  # the input needs no gradient
        whole += products * m * n
        left += products * m * n * kept[i] * kept[i + 1]
    return left / whole


def _bars(plt, outcome, caption, path):
    entries = [*(e for e in outcome.entries if e.operation == outcome.case.operation),
               outcome.limit()]
    entries.sort(key=lambda e: -e.median)
    labels = [f"limit: scale copy, {e.contender}" if e.operation == "copy" else e.contender
              for e in entries]
    colors = [LIMIT if e.operation == "copy" else OURS if e.contender.startswith("cydropout")
              else BAR for e in entries]
    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.32 * len(entries)), layout="constrained")
    bars = axes.barh(labels, [e.median for e in entries], color=colors)
    axes.bar_label(bars, [f"{e.median:.3g}" for e in entries], padding=3, fontsize=8)
    axes.set(xscale="log", xlabel="ns per element, log scale", title=caption)
    axes.margins(x=0.1)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _short(size):
    letter = ("", " Ki", " Mi", " Gi")[power := int(math.log2(size)) // 10]
    return f"{size >> (10 * power)}{letter}"
