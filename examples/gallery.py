"""One picture of each variant: what its mask looks like. Writes gallery.png."""

import argparse
from pathlib import Path

import numpy as np

from cydropout import MaskStream, layers
from cydropout.layers import Context
from cydropout.layers.dropout._variants import VARIANTS

SIDE = 32
ROWS = np.ones((SIDE, SIDE), np.float32)  # samples by units, or steps by units
MAPS = np.ones((1, 4, SIDE, SIDE), np.float32)
CHANNELS = np.ones((1, 16, 8, 8), np.float32)
BATCH = np.ones((4, 4, SIDE, SIDE), np.float32)


def passed(layer, x, **options):
    """Return what one training pass makes of ``x``."""
    ctx = Context(training=True, stream=MaskStream(3))
    return layer.forward(x, ctx, **options)[0]


def built(layer, shape=(SIDE,), value=None):
    """Return the layer with its parameters, the first of them set to ``value`` if there is one."""
    layer.build(shape, 0)
    if value is not None:
        layer.parameters()[0].value[...] = value
    return layer


def tiled(maps):
    """Lay maps (n, height, width) out in a square, with a line between them."""
    side = int(len(maps) ** 0.5)
    lined = np.pad(maps, ((0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    rows = [np.concatenate(lined[i * side : (i + 1) * side], axis=1) for i in range(side)]
    return np.concatenate(rows)[:-1, :-1]


def channels(layer, x=MAPS):
    """Return the maps of one sample."""
    return tiled(passed(layer, x)[0])


def samples(layer):
    """Return the first map of each of four samples."""
    return tiled(passed(layer, BATCH)[:, 0])


def tokens_left():
    """Return which tokens each sample keeps."""
    layer, masks = layers.PatchDropout(0.4), {}
    ctx = Context(training=True, stream=MaskStream(3), masks=masks)
    layer.forward(np.ones((SIDE, SIDE, 1), np.float32), ctx)
    picture = np.zeros((SIDE, SIDE))
    np.put_along_axis(picture, masks[layer].indices, 1, axis=1)
    return picture


def weights(layer):
    """Return the weights that one pass uses, read off with one-hot inputs."""
    built(layer, value=1)
    return passed(layer, np.eye(SIDE, dtype=np.float32))


def words():
    """Return a text's embedded words: a dropped word is dropped wherever it occurs."""
    layer = built(layers.Embedding(12, SIDE, rate=0.3), (), 1)
    text = np.random.default_rng(0).integers(0, 12, SIDE)
    return passed(layer, text) * (1 + np.arange(12)[text, None] % 3)


def depth():
    """Return which of 32 layers run in each of 32 passes, dropped more often towards the end."""
    stream, rates = MaskStream(3), layers.depth_rates(SIDE, 0.5)
    ctx = Context(training=True, stream=stream)
    return np.array([[layers.StochasticDepth(rate, per="batch").forward(
        np.ones((1, 1), np.float32), ctx)[0].item() > 0 for rate in rates] for _ in range(SIDE)])


def skipped():
    """Return which of 32 layers that double their input run in each of 32 passes."""
    layer = built(layers.LayerDrop(layers.Dense(1, bias=False), 0.3), (1,), 2)
    ctx = Context(training=True, stream=MaskStream(3))
    one = np.ones((1, 1), np.float32)
    runs = [layer.forward(one, ctx)[0].item() > 1 for _ in range(SIDE * SIDE)]
    return np.reshape(runs, (SIDE, SIDE))


def attention():
    """Return what is left of equal weights, which the rows further down share among more keys."""
    return passed(layers.SoftmaxDropout(0.3, causal=True), ROWS) * np.arange(1, SIDE + 1)[:, None]


def standout():
    """Return units that are kept the more often the larger their input is."""
    layer = layers.Standout(SIDE, activation="linear", alpha=6.0, beta=-3.0)
    built(layer, value=np.eye(SIDE))
    ramp = np.broadcast_to(np.linspace(0.02, 1, SIDE, dtype=np.float32), (SIDE, SIDE))
    return passed(layer, ramp) > 0


#: How a variant is drawn that needs more than a rate, or another input than `ROWS`.
RECIPES = {
    "GaussianDropout": lambda: passed(layers.GaussianDropout(0.3), ROWS),
    "FeatureAlphaDropout": lambda: channels(layers.FeatureAlphaDropout(0.4), CHANNELS),
    "Standout": standout,
    "ConcreteDropout": lambda: passed(
        built(layers.ConcreteDropout(None, 0.4, temperature=0.3)), ROWS),
    "VariationalGaussianDropout": lambda: passed(
        built(layers.VariationalGaussianDropout(0.3)), ROWS),
    "SpatialDropout1D": lambda: passed(layers.SpatialDropout1D(0.4), ROWS[None])[0],
    "SpatialDropout2D": lambda: channels(layers.SpatialDropout2D(0.4), CHANNELS),
    "SpatialDropout3D": lambda: tiled(passed(
        layers.SpatialDropout3D(0.4), CHANNELS[:, :4, None].repeat(4, axis=2)).reshape(16, 8, 8)),
    "DropBlock1D": lambda: passed(layers.DropBlock1D(0.3, 5), ROWS[None])[0],
    "DropBlock2D": lambda: channels(layers.DropBlock2D(0.3, 7)),
    "DropBlock3D": lambda: tiled(passed(
        layers.DropBlock3D(0.3, 7), np.ones((1, 1, 16, SIDE, SIDE), np.float32))[0, 0, ::4]),
    "DropWalk2D": lambda: channels(layers.DropWalk2D(0.2)),
    "CutoutDropout": lambda: samples(layers.CutoutDropout(0.2)),
    "DropConnect": lambda: weights(layers.DropConnect(SIDE, 0.4, bias=False)),
    "DropConnect per sample": lambda: weights(
        layers.DropConnect(SIDE, 0.4, per="sample", bias=False)),
    "WeightDropout": lambda: weights(
        layers.WeightDropout(layers.Dense(SIDE, bias=False), 0.4)),
    "LockedDropout": lambda: passed(layers.LockedDropout(0.4), ROWS[None])[0],
    "RecurrentDropout": lambda: passed(layers.RecurrentDropout(0.4), ROWS[None])[0],
    "Zoneout": lambda: passed(layers.Zoneout(0.4), ROWS, previous=ROWS / 2),
    "EmbeddingDropout": words,
    "PatchDropout": tokens_left,
    "StochasticDepth": depth,
    "LayerDrop": skipped,
    "SoftmaxDropout": attention,
    "DropHead": lambda: tiled(passed(
        layers.DropHead(0.4), np.ones((2, 8, 8, 8), np.float32)).reshape(16, 8, 8)),
}


def pictures():
    """Return how each variant of the table is drawn, by name, in the table's order."""
    return {name: RECIPES.get(name, lambda name=name: passed(getattr(layers, name)(0.4), ROWS))
            for name, variant in VARIANTS.items() if variant.kind != "training"}


def draw(path):
    """Draw all of them into one file."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    columns, shown = 6, pictures()
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(1.7 * columns, 1.85 * rows), layout="constrained")
    axes = figure.subplots(rows, columns)
    colors = colormaps["magma"].with_extremes(bad="white")
    for place in axes.flat:
        place.set_axis_off()
    for place, (name, picture) in zip(axes.flat, shown.items(), strict=False):
        values = np.asarray(picture(), float)
        least = min(0, np.nanmin(values))
        place.imshow(values, cmap=colors, interpolation="nearest", vmin=least)
        place.set_title(name, fontsize=7)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("gallery.png"))
    draw(parser.parse_args().output)
