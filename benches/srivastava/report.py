"""The table and the curves of what was trained."""

from statistics import mean

from srivastava.recipes import ORDER, RECIPES, ROWS
from srivastava.training import results
from suite import sections

PICTURE = "srivastava.png"
HEAD = (
    "Made by `python benches/reproduce_srivastava.py`. Test error in %, after the last epoch, not "
    "the best on the way; mean of the seeds run. All of a recipe's settings were chosen before "
    "its run; the learning rate falls along a cosine to 0. The paper's nets saw a million "
    "updates."
)


def table(found):
    """Return the rows as Markdown, for those that have a finished run."""
    lines = ["| row | paper | to reach | found | of each seed | how | minutes each | met |",
             "|---|---|---|---|---|---|---|---|"]
    for row in ROWS:
        if runs := found.get(row.recipe):
            errors = [run["errors"][-1] for run in runs]
            error = mean(errors)
            met = "" if row.most is None else (
                "yes" if row.least <= error <= row.most else "**no**")
            minutes = mean(run["seconds"] for run in runs) / 60
            first = runs[0]
            how = (f"{RECIPES[row.recipe].text}; batch {first['batch']}, "
                   f"{first['epochs']} epochs{_shortened(row, first)}")
            lines.append(
                f"| {row.text} | {row.paper or '-'} | {row.target()} | {error:.2f} | "
                f"{', '.join(f'{e:.2f}' for e in errors)} | {how} | {minutes:.1f} | {met} |")
    return "\n".join(lines)


def _shortened(row, run):
    wanted = RECIPES[row.recipe].epochs
    return f" of {wanted}" if run["epochs"] < wanted else ""


def order(found):
    """Return whether none, dropout, DropConnect stand in this order, where all three were run."""
    if not all(recipe in found for recipe in ORDER):
        return ""
    errors = [mean(run["errors"][-1] for run in found[recipe]) for recipe in ORDER]
    met = "yes" if errors[0] > errors[1] > errors[2] else "**no**"
    shown = ", ".join(f"{e:.2f}" for e in errors)
    return f"784-800-800, none, dropout, DropConnect, each below the one before: {shown}: {met}."


def draw(found, path):
    """Draw the test error against the epoch, the mean of the seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for recipe in (name for name in RECIPES if name in found):
        errors = [mean(each) for each in zip(*(r["errors"] for r in found[recipe]), strict=True)]
        axes.plot(range(1, len(errors) + 1), errors, label=recipe,
                  marker="o" if len(errors) == 1 else "")
    axes.set(xlabel="epoch", ylabel="test error, %", yscale="log", title="MNIST")
    axes.set_yticks(ticks := (1, 1.25, 1.6, 2, 3, 5), map(str, ticks))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def write(directory, page):
    """Write table and curves into the directory and into the page; return the table."""
    found = results(directory)
    if not found:
        return "no run is finished yet"
    machine = next(iter(found.values()))[0]["machine"]
    parts = ["## Table 2 of Srivastava et al. 2014", HEAD,
             f"{machine['cpu']}, {machine['cores']} cores.", table(found), order(found),
             f"![test error against epoch]({PICTURE})"]
    body = "\n\n".join(filter(None, parts))
    (directory / "RESULTS.md").write_text(body + "\n", encoding="utf-8")
    for place in {directory.resolve(), page.parent.resolve()}:
        draw(found, place / PICTURE)
    sections.replace(page, "srivastava", body)
    return "\n\n".join(filter(None, (table(found), order(found))))
