"""Which cases became slower than in an earlier run, machine by machine in copies of its own."""

from suite.case import BYTES_PER_ELEMENT, TEST_ERROR

#: What stands beside a step, with the same products and Adam's pass, as its measure.
BARE = ", products alone", ", no dropout"
#: How much more a case may take before it counts: what two runs of one machine differ by.
SLACK = 1.15


def name(case):
    """Return what tells a case from others, which a later version may say more of."""
    empty = {"shared_axes": [], "variant": "", "hidden": [], "batch": 0, "neighbour": False}
    words = "operation", "shape", "dtype", "rate", "per_neuron", "unit", *empty
    values = (case.get(word, empty.get(word)) for word in words)
    return tuple((word, str(list(value) if isinstance(value, tuple) else value))
                 for word, value in zip(words, values, strict=True))


def ratios(fields):
    """Return the figures of ours over what the machine costs, as (p10, p90), by case.

    That is the contender's own scale copy; where there is none, the products or the step without
    dropout that ran beside it; bytes and errors are themselves.
    """
    found = {}
    for bench, cases in fields["benches"].items():
        for case in cases:
            by = {(e["contender"], e["operation"], e["threads"]): e for e in case["entries"]}
            for (contender, operation, threads), entry in by.items():
                if operation == "copy" or not contender.startswith("cydropout") or (
                        contender.endswith(BARE)):
                    continue
                base = _base(by, case, contender, threads)
                if base:
                    found[bench, name(case), contender, threads] = (
                        entry["p10"] / base, entry["p90"] / base)
    return found


def _base(by, case, contender, threads):
    """Return what a figure is divided by, or None where there is nothing."""
    if case["unit"] in (BYTES_PER_ELEMENT, TEST_ERROR):
        return 1.0
    names = {one for one, *_ in by} - {contender}
    for other, operation in ((contender, "copy"), *(
            (one, case["operation"]) for end in BARE for one in sorted(names)
            if one.endswith(end))):
        if entry := by.get((other, operation, threads)):
            return entry["median"]
    return None


def slower(before, now, slack=SLACK):
    """Return what is slower now than before, as (bench, name, contender, threads): both ratios."""
    was = ratios(before)
    return {key: (was[key], ratio) for key, ratio in ratios(now).items()
            if key in was and ratio[0] > slack * was[key][1]}


def table(found, compared, date):
    """Return lines that say what is slower."""
    what = ", in multiples of the copy or of the bare step:" if found else ""
    lines = [f"{compared} figures beside those of {date}: {len(found)} slower{what}"]
    for (bench, case, contender, threads), (was, is_) in found.items():
        words = dict(case)
        what = ", ".join(filter(None, (words["operation"], words["variant"], words["shape"],
                                       words["dtype"], f"rate {words['rate']}")))
        lines.append(f"  {bench}: {contender}, {threads} threads, {what}: "
                     f"{was[0]:.2f} to {was[1]:.2f}, now {is_[0]:.2f} to {is_[1]:.2f}")
    return "\n".join(lines)
