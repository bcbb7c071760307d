"""A training step of a CNN, an LSTM and a transformer, with dropout on, and what is in it."""

from suite.case import MS_PER_STEP, Case

OURS = ("cydropout", "cydropout, no dropout", "cydropout, products alone", "cydropout, Adam alone")
PEERS = ("PyTorch", "TensorFlow")
STEPS = 24
NETWORKS = (
    ("images", (28, 28, 1), (32, 64, 128), 128, 0.5),
    ("characters", (64,), (256,), 32, 0.3),
    ("sentences", (64,), (128, 128), 32, 0.2),
)


def cases(full):
    contenders = (*OURS, *PEERS, *(["PyTorch compiled"] if full else []))
    for name, sample, hidden, batch, rate in NETWORKS:
        yield Case("network", (STEPS * batch, *sample), rate=rate, variant=name, hidden=hidden,
                   batch=batch, unit=MS_PER_STEP, limit=False, contenders=contenders)
