"""The page of all variants: formula, paper, and what was measured."""

from suite.catalogue import SETTINGS, VARIANTS
from suite.tables import number

HEAD = """# Every variant

Made by `python benches/run.py --full --only variants --output benches`, never by hand.
Here m is the mask, p the rate, q = 1 - p, and s the logistic function. The names are those of
layers in `cydropout.layers`; of training, `cydropout.training.losses`, `cydropout.predict_mc`,
`cydropout.training.schedules` with the callback `RateSchedule`, and `cydropout.sklearn`. Docstrings
have the whole formula, shapes and errors; [the gallery](../examples/gallery.png) shows the masks.

One call is forward and backward, through the layer. *Copies* is its time over that of two scale
copies, `y = c x` and `dx = c dy`, between four arrays of x's size; *faster* is the
time of the fastest peer that has the variant (PyTorch, eager or compiled, JAX, TensorFlow with
Keras), its own layer or the formula in its operations, over ours. Targets stand in brackets.
{machine}

| kind | variant | formula | paper | shape | ns/element | copies | faster | met |
|---|---|---|---|---|---|---|---|---|
"""


def _row(name, variant, outcome):
    ours = outcome.find("cydropout") if outcome else None
    cells = [variant.kind, name, variant.formula, variant.paper,
             " x ".join(map(str, variant.shape))]
    if ours is None:
        return [*cells, "", "", "", ""]
    met, limit, peers = [], outcome.limit(), outcome.peers()
    copies = f"{ours.median / limit.median:.2f}" if limit else ""
    if variant.limit and limit:
        copies += f" (at most {variant.limit:g})"
        met.append(ours.median <= variant.limit * limit.median)
    faster = "no peer has it"
    if peers:
        faster = f"{peers[0].median / ours.median:.1f} x {peers[0].contender}"
        if variant.peer:
            faster += f" (at least {variant.peer:g})"
            met.append(peers[0].median >= variant.peer * ours.median)
    tick = ("✓" if all(met) else "**no**") if met else ""
    return [*cells, number(ours.median), copies, faster, tick]


def page(outcomes, fields):
    """Return the page as Markdown."""
    found = {outcome.case.variant: outcome for outcome in outcomes}
    machine = f"{fields['cpu']}, {fields['threads']} threads, {fields['date']}."
    rows = [_row(name, variant, found.get(name)) for name, variant in VARIANTS.items()]
    rows += [["training", name, *text, *[""] * 4, "a setting"] for name, text in SETTINGS.items()]
    # A bar within a formula would end its cell.
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return HEAD.format(machine=machine) + "\n".join(f"| {line} |" for line in lines) + "\n"
