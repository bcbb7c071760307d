"""What dropout adds to a whole training step of PyTorch models: PyTorch's, and ours by one line."""

from suite.case import MS_PER_STEP, Case
from suite.hosted import CONTENDERS

MODELS = (("GPT-like blocks", 8, 0.1), ("MNIST CNN", 64, 0.5), ("784-3x1024-10", 128, 0.5),
          ("BERT layer", 8, 0.1), ("BERT-base of transformers", 2, 0.1),
          ("ViT-small of transformers", 2, 0.1))


def cases(full):
    for name, batch, rate in MODELS if full else MODELS[2:3]:
        # Those of transformers take a minute to compile: they run eagerly alone.
        contenders = CONTENDERS if full and batch > 2 else CONTENDERS[:3]
        yield Case("torch_step", (batch,), rate=rate, variant=name, batch=batch, unit=MS_PER_STEP,
                   limit=False, contenders=contenders)
