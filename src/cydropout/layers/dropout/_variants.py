"""The table of variants: one row for each published dropout.

The contract and edge-case tests, the benches and their page of variants, and the gallery are made
from it. It imports nothing of the library, so that the benches can read it by its path alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class Case:
    """A layer to test: the shape of its input, its rate, its options, and what it claims to be.

    ``make(layers, rate)`` is there for layers that are not made as ``Layer(rate=rate, **options)``.
    The claims are the class attributes; any other keyword is an option of the layer.
    """

    def __init__(
        self,
        *shape: int,
        rate: float | None = 0.4,
        make: Callable[[Any, Any], Any] | None = None,
        **options: Any,
    ) -> None:
        self.shape, self.rate, self.make = shape, rate, make
        self.options = {name: v for name, v in options.items() if not hasattr(type(self), name)}
        vars(self).update({name: options[name] for name in options.keys() - self.options.keys()})


class Contract(Case):
    """A case for the contract of every layer."""

    linear = True  # the map from x to y, for fixed noise
    random = True  # draws from the stream in training
    keeps_dtype = True  # float16 in, float16 out
    exact = True  # the gradient, in training too
    shortens = False  # its output has another shape in training


class Edge(Case):
    """A case for the edge cases of layers that apply a mask."""

    shared: tuple[int, ...] = ()  # the axes along which one decision holds
    drops = True  # to 0: a plain mask, whose map is scale * keep * x
    takes_bools = True  # for a mask
    learned = False  # a rate that is trained, and is neither 0 nor 1
    classic = False  # scales at inference


class Made(Contract):
    """A case of a layer with parameters."""

    linear = keeps_dtype = False


@dataclass(frozen=True)
class Variant:
    """A published dropout.

    Attributes
    ----------
    kind : str
        What it drops.
    formula, paper : str
        For the page of variants; m is the mask, p the rate and q = 1 - p.
    shape, rate :
        Of the input that it is timed with; without a shape it has no time of its own.
    check : str
        Which check of ``suite.variants``, in the benches, knows its result.
    peer, limit : float, optional
        The target: so many times faster than the fastest peer, and at most so many scale copies
        for both passes together.
    contract, edges :
        The cases of the tests by a suffix; by default one of each for an elementwise layer.
    """

    kind: str
    formula: str
    paper: str
    shape: tuple[int, ...] = ()
    rate: float = 0.1
    check: str = "diagonal"
    peer: float | None = None
    limit: float | None = None
    contract: Mapping[str, Contract] | None = None
    edges: Mapping[str, Edge] | None = None


def cases(what: str) -> dict[str, tuple[str, Any]]:
    """Return all cases of ``"contract"`` or ``"edges"`` by name, with the name of the variant."""
    plain: dict[str, Any] = {"contract": {"": Contract(6, 7)}, "edges": {"": Edge(40, 30)}}
    found = {}
    for name, variant in VARIANTS.items():
        if variant.kind != "training":
            own = getattr(variant, what)
            for suffix, case in (plain[what] if own is None else own).items():
                found[f"{name}-{suffix}".rstrip("-")] = name, case
    return found


def make(layers: Any, name: str, case: Case, rate: float | None = None) -> Any:
    """Return the layer of a variant's case, at its own rate or another.

    ``layers`` is the package `cydropout.layers`; the layer's name is the first word of ``name``.
    """
    rate = case.rate if rate is None else rate
    if case.make is not None:
        return case.make(layers, rate)
    return getattr(layers, name.split()[0])(rate=rate, **case.options)


def _ends(*shape: int, rate: float = 0.4, **claims: Any) -> dict[str, Contract]:
    """Return a case, and those at the ends of the rate, where nothing is drawn."""
    return {"": Contract(*shape, rate=rate, **claims),
            "0": Contract(*shape, rate=0.0, random=False),
            "1": Contract(*shape, rate=1.0, random=False)}


_LAST: dict[str, Any] = {"data_format": "channels_last"}
_PER: dict[str, Any] = {"per": "sample"}
_SRIVASTAVA, _GAL, _GHIASI = "Srivastava et al. 2014", "Gal & Ghahramani 2016", "Ghiasi et al. 2018"
_TOMPSON, _WAN = "Tompson et al. 2015", "Wan et al. 2013"
_ROWS, _MAPS, _VOLUMES = (1024, 1024), (32, 64, 28, 28), (8, 16, 16, 28, 28)
_COPIES = 1.3

#: Every variant by the layer's name, or that of what trains; after a space, how it is made. The
#: order is that of the page.
VARIANTS = {
    "Dropout": Variant(
        "element", "y = m x / q, m ~ B(q)", _SRIVASTAVA, _ROWS, 0.5, peer=8,
        contract={
            **_ends(6, 7, rate=0.5),
            "classic": Contract(6, 7, rate=0.25, scaling="classic"),
            "sqrt": Contract(6, 7, rate=0.25, scaling="sqrt"),
            "shared": Contract(3, 4, 5, rate=0.5, shared_axes=(1,)),
            "rates": Contract(8, 4, make=lambda layers, _: layers.Dropout([0.0, 0.3, 0.9, 1.0])),
            "seed": Contract(6, 7, rate=0.5, storage="seed"),
        },
    ),
    "GaussianDropout": Variant(
        "element", "y = x N(1, p / q)", _SRIVASTAVA, _ROWS, check="noise", peer=4,
        contract={
            **_ends(6, 7),
            "rates": Contract(6, 3, make=lambda layers, _: layers.GaussianDropout([0.1, 0.5, 0.0])),
        },
        edges={"": Edge(40, 30, drops=False, takes_bools=False)},
    ),
    "AlphaDropout": Variant(
        "element", "y = a (m x + (1 - m) a') + b", "Klambauer et al. 2017", _ROWS, check="affine",
        peer=8, contract=_ends(6, 7, linear=False), edges={"": Edge(40, 30, drops=False)},
    ),
    "FeatureAlphaDropout": Variant(
        "element", "the same, m for each channel", "Klambauer et al. 2017", _MAPS, check="affine",
        peer=8, contract={"": Contract(6, 7, 3, 3, linear=False)},
        edges={"": Edge(9, 8, 5, 5, shared=(2, 3), drops=False)},
    ),
    "Standout": Variant(
        "element", "y = m f(z), m ~ B(s(a z + b))", "Ba & Frey 2013", _ROWS, check="standout",
        peer=8, edges={},
        contract={
            "": Made(4, 5, exact=False, make=lambda layers, _: layers.Standout(
                6, alpha=0.7, beta=0.2)),
            "linear": Made(4, 5, make=lambda layers, _: layers.Standout(
                40, activation="linear", alpha=0.0, beta=0.4)),
            "untied": Made(2, 3, 5, exact=False, make=lambda layers, _: layers.Standout(
                6, activation="tanh", tied=False)),
        },
    ),
    "ConcreteDropout": Variant(
        "element", "y = x (1 - s((logit p + logit u) / t)) / q, p learned",
        "Gal, Hron, Kendall 2017", _ROWS, check="learned", peer=4,
        contract={
            "": Made(4, 5, rate=0.3, make=lambda layers, rate: layers.ConcreteDropout(
                layers.Dense(3, activation="tanh"), rate)),
            "alone": Contract(4, 5, rate=0.3, layer=None),
            "units": Contract(2, 3, 5, rate=0.6, layer=None, per_unit=True, temperature=0.5),
        },
        edges={"": Edge(40, 30, layer=None, drops=False, takes_bools=False, learned=True)},
    ),
    "VariationalGaussianDropout": Variant(
        "element", "y = x N(1, a), a learned", "Kingma et al. 2015; Molchanov et al. 2017", _ROWS,
        check="learned", peer=4,
        contract={"": Contract(6, 7, rate=0.5),
                  "units": Contract(2, 3, 5, rate=0.3, per_unit=True, kl="kingma")},
        edges={"": Edge(40, 30, drops=False, takes_bools=False, learned=True)},
    ),
    "SpatialDropout1D": Variant(
        "feature", "y = m x / q, m for each channel", _TOMPSON, (64, 64, 256), limit=_COPIES,
        contract={"": Contract(6, 7, 5)}, edges={"": Edge(9, 8, 25, shared=(2,))},
    ),
    "SpatialDropout2D": Variant(
        "feature", "the same", _TOMPSON, _MAPS, limit=_COPIES,
        contract={"": Contract(6, 7, 3, 3), "last": Contract(6, 3, 3, 7, **_LAST)},
        edges={"": Edge(9, 8, 5, 5, shared=(2, 3)),
               "last": Edge(9, 5, 5, 8, shared=(1, 2), **_LAST)},
    ),
    "SpatialDropout3D": Variant(
        "feature", "the same", _TOMPSON, _VOLUMES, limit=_COPIES,
        contract={"": Contract(6, 7, 2, 3, 2, storage="seed")},
        edges={"": Edge(9, 8, 2, 3, 4, shared=(2, 3, 4))},
    ),
    "DropBlock1D": Variant(
        "space", "y = m x n / sum m, m = 0 on blocks", _GHIASI, (64, 64, 256), check="blocks",
        peer=8, limit=_COPIES, contract={"": Contract(4, 3, 9, block_size=3)},
        edges={"": Edge(9, 8, 25, block_size=4, drops=False)},
    ),
    "DropBlock2D": Variant(
        "space", "the same, squares", _GHIASI, _MAPS, check="blocks", peer=8, limit=_COPIES,
        contract={
            **_ends(4, 3, 5, 6),
            "": Contract(4, 3, 5, 6, block_size=2),
            "last": Contract(4, 5, 6, 3, block_size=2, gamma="paper", scaling="batch", **_LAST),
        },
        edges={
            "": Edge(9, 4, 11, 7, block_size=3, drops=False),
            "last": Edge(9, 11, 7, 4, block_size=(2, 3), drops=False, **_LAST),
            "paper": Edge(9, 4, 11, 7, block_size=3, gamma="paper", scaling="batch",
                          shared_channels=True, shared=(1,), drops=False),
        },
    ),
    "DropBlock3D": Variant(
        "space", "the same, cubes", _GHIASI, _VOLUMES, check="blocks", peer=8, limit=_COPIES,
        contract={"": Contract(3, 2, 3, 4, 3, block_size=2, scaling="inverted")},
        edges={"": Edge(5, 4, 3, 5, 7, block_size=2, drops=False)},
    ),
    "DropWalk2D": Variant(
        "space", "y = m x / q, m = 0 on the trace of a random walk", "ours", _MAPS, check="blocks",
        limit=_COPIES,
        contract={"": Contract(4, 3, 5, 6),
                  "last": Contract(4, 5, 6, 3, walks=2, shared_channels=True, **_LAST)},
        edges={"": Edge(9, 4, 11, 7, drops=False),
               "last": Edge(9, 11, 7, 4, walks=3, drops=False, **_LAST)},
    ),
    "CutoutDropout": Variant(
        "space", "y = m x, m = 0 on a square", "DeVries & Taylor 2017", (256, 3, 64, 64),
        check="cut", limit=_COPIES,
        contract={"": Contract(4, 3, 5, 6, rate=0.3),
                  "size": Contract(4, 5, 6, 3, rate=None, size=3, scaling="inverted", **_LAST)},
        edges={"": Edge(9, 4, 11, 7, shared=(1,), drops=False),
               "last": Edge(9, 11, 7, 4, holes=2, shared=(3,), drops=False, **_LAST)},
    ),
    "FeatureDropout": Variant(
        "feature", "y = m x F / k, m keeps k of F columns", "Ho 1998; Breiman 2001", (4096, 256),
        0.5, limit=_COPIES,
        contract={"": Contract(6, 7), "classic": Contract(6, 7, scaling="classic", **_PER),
                  "log2": Contract(6, 7, rate=None, features="log2")},
        edges={"": Edge(40, 30, shared=(0,), drops=False),
               "sample": Edge(40, 30, drops=False, **_PER)},
    ),
    "BatchwiseDropout": Variant(
        "unit", "y = m x / q, m for each unit", "Graham et al. 2015", _ROWS, 0.5, limit=_COPIES,
        contract={"": Contract(6, 7), "block": Contract(6, 7, block=2),
                  "slice": Contract(6, 7, layout="slice")},
        edges={"": Edge(9, 40, 30, shared=(0,)),
               "block": Edge(9, 40, 30, block=4, shared=(0,), drops=False),
               "slice": Edge(9, 40, 30, layout="slice", shared=(0, 1), drops=False)},
    ),
    "DropConnect": Variant(
        "weight", "y = ((m W) x) / q, m for the batch", _WAN, (128, 512), 0.5, check="product",
        peer=1, edges={},
        contract={
            "": Made(4, 5, units=3, rate=0.5),
            "0": Made(4, 5, units=3, rate=0.0, random=False),
            "1": Made(4, 5, units=3, rate=1.0, random=False),
            "bias": Made(4, 5, units=3, drop_bias=True, storage="bits"),
            "gaussian-relu": Made(4, 5, units=6, rate=0.5, activation="relu", inference="gaussian",
                                  drop_bias=True),
            "gaussian-gelu": Made(2, 3, 5, units=3, rate=0.5, activation="gelu",
                                  inference="gaussian"),
            "gaussian-samples": Made(4, 5, units=3, rate=0.5, activation="sigmoid",
                                     inference="gaussian", samples=7),
        },
    ),
    "DropConnect per sample": Variant(
        "weight", "the same, m for each sample", _WAN, (128, 512), 0.5, check="product", peer=8,
        edges={},
        contract={
            "": Made(4, 5, units=3, rate=0.5, activation="tanh", **_PER),
            "no-bias": Made(4, 5, units=3, rate=0.5, bias=False, linear=True, **_PER),
            "bias": Made(2, 3, 2, units=33, drop_bias=True, storage="bits", **_PER),
        },
    ),
    "WeightDropout": Variant(
        "weight", "y = layer(x; m W / q)", "Merity et al. 2018", (128, 512), 0.5, check="product",
        peer=1, edges={},
        contract={
            "": Made(4, 5, rate=0.5, make=lambda layers, rate: layers.WeightDropout(
                layers.Dense(3), rate)),
            "0": Made(4, 5, rate=0.0, random=False, make=lambda layers, rate: layers.WeightDropout(
                layers.Dense(3), rate)),
            "1": Made(4, 5, rate=1.0, random=False, make=lambda layers, rate: layers.WeightDropout(
                layers.Dense(3), rate, ["weight", "bias"])),
            "nested": Made(4, 5, make=lambda layers, rate: layers.WeightDropout(layers.Sequential(
                [layers.Dense(6), layers.Tanh(), layers.Dense(3), layers.Dropout(0.5)],
                dtype="float64"), rate, ["0.dense.weight", "2.dense.bias"], storage="seed")),
        },
    ),
    "LockedDropout": Variant(
        "sequence", "y_t = m x_t / q, one m for all steps", _GAL, (64, 128, 128), limit=_COPIES,
        contract={"": Contract(3, 4, 5), "time-first": Contract(4, 3, 5, axis=0)},
        edges={"": Edge(9, 25, 8, shared=(1,))},
    ),
    "RecurrentDropout": Variant(
        "sequence", "c = f c' + i m g / q", "Semeniuta et al. 2016", _ROWS, check="gated", peer=3,
        contract={"": Contract(6, 7), "sequence": Contract(3, 4, 5, per="sequence")},
        edges={"": Edge(40, 30), "sequence": Edge(9, 25, 8, per="sequence", shared=(1,))},
    ),
    "Zoneout": Variant(
        "sequence", "h = (1 - m) h' + m h~", "Krueger et al. 2017", _ROWS, check="zoneout", peer=3,
        contract=_ends(6, 7), edges={"": Edge(40, 30, classic=True)},
    ),
    "EmbeddingDropout": Variant(
        "sequence", "y = m_w W_w / q, m for each word w", _GAL, (64, 128, 128), check="embedding",
        peer=3, contract={"": Contract(9, 3)}, edges={"": Edge(400, 9, shared=(1,))},
    ),
    "PatchDropout": Variant(
        "sequence", "y = x[k of n tokens]", "Liu et al. 2023", (64, 196, 192), 0.5, check="patches",
        peer=3, edges={},
        contract={"": Contract(3, 7, 2, shortens=True),
                  "0": Contract(3, 7, 2, rate=0.0, random=False),
                  "prefix": Contract(3, 7, 2, rate=0.5, prefix=1, shortens=True)},
    ),
    "StochasticDepth": Variant(
        "depth", "y = m x / q, m for each sample", "Huang et al. 2016", (64, 128, 128),
        limit=_COPIES,
        contract={"": Contract(9, 2, 3), "batch": Contract(3, 4, rate=0.5, per="batch")},
        edges={"": Edge(40, 6, 5, shared=(1, 2)),
               "batch": Edge(4, 6, 5, per="batch", shared=(0, 1, 2))},
    ),
    "LayerDrop": Variant(
        "depth", "y = x or layer(x)", "Fan et al. 2020", (128, 512), 0.5, check="layer", peer=1,
        edges={},
        contract={
            "": Contract(4, 5, rate=0.5, keeps_dtype=False, make=lambda layers, rate:
                         layers.LayerDrop(layers.Dense(5, bias=False), rate)),
            "0": Made(4, 5, rate=0.0, random=False, make=lambda layers, rate:
                      layers.LayerDrop(layers.Dense(5), rate)),
            "1": Contract(4, 5, rate=1.0, linear=False, random=False, make=lambda layers, rate:
                          layers.LayerDrop(layers.Tanh(), rate)),
            "dropout": Contract(4, 5, rate=0.25, make=lambda layers, rate:
                                layers.LayerDrop(layers.Dropout(0.5), rate)),
        },
    ),
    "SoftmaxDropout": Variant(
        "attention", "y = m softmax(s) / q", "Vaswani et al. 2017", (8, 8, 256, 256),
        check="softmax", peer=3, edges={},
        contract={
            "": Contract(2, 3, 4, 5, rate=0.3, linear=False),
            "0": Contract(3, 19, rate=0.0, linear=False, random=False),
            "1": Contract(3, 5, rate=1.0, linear=False, random=False),
            "causal": Contract(2, 6, 5, rate=0.3, causal=True, scale=-0.7, linear=False),
        },
    ),
    "DropHead": Variant(
        "attention", "y = m x H / sum m, m for each head", "Zhou et al. 2020", (32, 8, 128, 64),
        check="blocks", limit=_COPIES,
        contract={**_ends(5, 4, 3), "": Contract(5, 4, 3, 2), "axis": Contract(5, 2, 4, 3, axis=-2),
                  "inverted": Contract(5, 4, 3, scaling="inverted")},
        edges={"": Edge(9, 8, 5, 4, shared=(2, 3), drops=False),
               "inverted": Edge(9, 5, 8, 4, axis=2, scaling="inverted", shared=(1, 3))},
    ),
    "RDropLoss": Variant(
        "training", "CE(a) + CE(b) + (KL(a || b) + KL(b || a)) / 2", "Wu et al. 2021", (512, 1000),
        check="agreement", peer=1),
    "predict_mc": Variant(
        "training", "mean, spread and entropies of 50 noisy passes", _GAL, (1024, 784), 0.5,
        check="monte_carlo", peer=1),
    "Constant": Variant("training", "p(t) = p", _SRIVASTAVA),
    "Linear": Variant("training", "p(t) from p0 to p1 in T steps", _GHIASI),
    "Cosine": Variant(
        "training", "p(t) = p1 + (p0 - p1) (1 + cos(pi t / T)) / 2", "Loshchilov & Hutter 2017"),
    "Curriculum": Variant("training", "q(t) = (1 - q) exp(-g t) + q", "Morerio et al. 2017"),
    "FeatureDropoutTransformer": Variant(
        "training", "columns of a table, drawn once by fit", "Ho 1998"),
}
