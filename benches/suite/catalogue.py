"""The family: every variant with its formula, its paper, and the case it is timed in."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Variant:
    """A published dropout.

    Attributes
    ----------
    kind : str
        What it drops.
    formula, paper : str
        For the page of variants; p is the rate and q = 1 - p.
    shape, rate : of the case
    check : str
        Which check of `suite.variants` knows its result.
    peer, limit : float, optional
        The target: so many times faster than the fastest peer, and at most so many scale copies
        for both passes together.
    """

    kind: str
    formula: str
    paper: str
    shape: tuple[int, ...]
    rate: float = 0.1
    check: str = "diagonal"
    peer: float | None = None
    limit: float | None = None


SRIVASTAVA = "Srivastava et al. 2014"
COPIES = 1.3

VARIANTS = {
    "Dropout": Variant(
        "element", "y = m x / q, m ~ B(q)", SRIVASTAVA, (1024, 1024), 0.5, peer=8),
    "GaussianDropout": Variant(
        "element", "y = x N(1, p / q)", SRIVASTAVA, (1024, 1024), check="noise", peer=4),
    "AlphaDropout": Variant(
        "element", "y = a (m x + (1 - m) a') + b", "Klambauer et al. 2017", (1024, 1024),
        check="affine", peer=8),
    "FeatureAlphaDropout": Variant(
        "element", "the same, m for each channel", "Klambauer et al. 2017", (32, 64, 28, 28),
        check="affine", peer=8),
    "Standout": Variant(
        "element", "y = m f(z), m ~ B(s(a z + b))", "Ba & Frey 2013", (1024, 1024),
        check="standout", peer=8),
    "ConcreteDropout": Variant(
        "element", "y = x (1 - s((logit p + logit u) / t)) / q, p learned",
        "Gal, Hron, Kendall 2017", (1024, 1024), check="learned", peer=4),
    "VariationalGaussianDropout": Variant(
        "element", "y = x N(1, a), a learned", "Kingma et al. 2015; Molchanov et al. 2017",
        (1024, 1024), check="learned", peer=4),
    "SpatialDropout1D": Variant(
        "feature", "y = m x / q, m for each channel", "Tompson et al. 2015", (64, 64, 256),
        limit=COPIES),
    "SpatialDropout2D": Variant(
        "feature", "the same", "Tompson et al. 2015", (32, 64, 28, 28), limit=COPIES),
    "SpatialDropout3D": Variant(
        "feature", "the same", "Tompson et al. 2015", (8, 16, 16, 28, 28), limit=COPIES),
    "DropBlock1D": Variant(
        "space", "y = m x n / sum m, m = 0 on blocks", "Ghiasi et al. 2018", (64, 64, 256),
        check="blocks", peer=8, limit=COPIES),
    "DropBlock2D": Variant(
        "space", "the same, squares", "Ghiasi et al. 2018", (32, 64, 28, 28), check="blocks",
        peer=8, limit=COPIES),
    "DropBlock3D": Variant(
        "space", "the same, cubes", "Ghiasi et al. 2018", (8, 16, 16, 28, 28), check="blocks",
        peer=8, limit=COPIES),
    "DropWalk2D": Variant(
        "space", "y = m x / q, m = 0 on the trace of a random walk", "ours", (32, 64, 28, 28),
        check="blocks", limit=COPIES),
    "CutoutDropout": Variant(
        "space", "y = m x, m = 0 on a square", "DeVries & Taylor 2017", (256, 3, 64, 64),
        check="cut", limit=COPIES),
    "FeatureDropout": Variant(
        "feature", "y = m x F / k, m keeps k of F columns", "Ho 1998; Breiman 2001", (4096, 256),
        0.5, limit=COPIES),
    "BatchwiseDropout": Variant(
        "unit", "y = m x / q, m for each unit", "Graham et al. 2015", (1024, 1024), 0.5,
        limit=COPIES),
    "DropConnect": Variant(
        "weight", "y = ((m W) x) / q, m for the batch", "Wan et al. 2013", (128, 512), 0.5,
        check="product", peer=1),
    "DropConnect per sample": Variant(
        "weight", "the same, m for each sample", "Wan et al. 2013", (128, 512), 0.5,
        check="product", peer=8),
    "WeightDropout": Variant(
        "weight", "y = layer(x; m W / q)", "Merity et al. 2018", (128, 512), 0.5, check="product",
        peer=1),
    "LockedDropout": Variant(
        "sequence", "y_t = m x_t / q, one m for all steps", "Gal & Ghahramani 2016",
        (64, 128, 128), limit=COPIES),
    "RecurrentDropout": Variant(
        "sequence", "c = f c' + i m g / q", "Semeniuta et al. 2016", (1024, 1024), check="gated",
        peer=3),
    "Zoneout": Variant(
        "sequence", "h = (1 - m) h' + m h~", "Krueger et al. 2017", (1024, 1024), check="zoneout",
        peer=3),
    "EmbeddingDropout": Variant(
        "sequence", "y = m_w W_w / q, m for each word w", "Gal & Ghahramani 2016", (64, 128, 128),
        check="embedding", peer=3),
    "PatchDropout": Variant(
        "sequence", "y = x[k of n tokens]", "Liu et al. 2023", (64, 196, 192), 0.5,
        check="patches", peer=3),
    "StochasticDepth": Variant(
        "depth", "y = m x / q, m for each sample", "Huang et al. 2016", (64, 128, 128),
        limit=COPIES),
    "LayerDrop": Variant(
        "depth", "y = x or layer(x)", "Fan et al. 2020", (128, 512), 0.5, check="layer", peer=1),
    "SoftmaxDropout": Variant(
        "attention", "y = m softmax(s) / q", "Vaswani et al. 2017", (8, 8, 256, 256),
        check="softmax", peer=3),
    "DropHead": Variant(
        "attention", "y = m x H / sum m, m for each head", "Zhou et al. 2020", (32, 8, 128, 64),
        check="blocks", limit=COPIES),
    "RDropLoss": Variant(
        "training", "CE(a) + CE(b) + (KL(a || b) + KL(b || a)) / 2", "Wu et al. 2021", (512, 1000),
        check="agreement", peer=1),
    "predict_mc": Variant(
        "training", "mean, spread and entropies of 50 noisy passes", "Gal & Ghahramani 2016",
        (1024, 784), 0.5, check="monte_carlo", peer=1),
}

#: What has no time of its own: the formula and the paper.
SETTINGS = {
    "Constant": ("p(t) = p", SRIVASTAVA),
    "Linear": ("p(t) from p0 to p1 in T steps", "Ghiasi et al. 2018"),
    "Cosine": ("p(t) = p1 + (p0 - p1) (1 + cos(pi t / T)) / 2", "Loshchilov & Hutter 2017"),
    "Curriculum": ("q(t) = (1 - q) exp(-g t) + q", "Morerio et al. 2017"),
    "FeatureDropoutTransformer": ("columns of a table, drawn once by fit", "Ho 1998"),
}
