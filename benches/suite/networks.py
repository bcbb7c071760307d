"""What a training step of each network is made of."""

from suite.tables import number

HEAD = """What is in a step of cydropout: its matrix products alone, with those that a convolution
and a recurrence are made of; what it takes beyond the same network without dropout; Adam's pass
alone; and the rest. All ran interleaved with the whole step.

| | ms/step | products | dropout | Adam | the rest | products alone, over the fastest peer |
|---|---|---|---|---|---|---|"""
PARTS = ("cydropout, products alone", "cydropout, no dropout", "cydropout, Adam alone")


def _row(outcome):
    whole = outcome.find("cydropout").median
    products, without, optimizer = (outcome.find(name).median for name in PARTS)
    dropout, peers = whole - without, outcome.peers()
    shares = (products, dropout, optimizer, without - products - optimizer)
    least = f"{products / peers[0].median:.2f} x {peers[0].contender}" if peers else ""
    return [outcome.case.fields()[0], number(whole), *(f"{s / whole:.0%}" for s in shares), least]


def profile(outcomes):
    """Return the table of shares as Markdown, for the networks whose parts were all timed."""
    rows = [_row(o) for o in outcomes if all(map(o.find, ("cydropout", *PARTS)))]
    return "\n".join([HEAD, *(f"| {' | '.join(row)} |" for row in rows)]) if rows else ""
