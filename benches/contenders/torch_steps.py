"""A whole training step of PyTorch models as people write them, with its dropouts or ours.

`MODELS` has a function each, which returns a model and the shape of one sample of its input.
"""

import ctypes
import sys

import torch
from torch import nn

F = nn.functional


class Attention(nn.Module):
    """Causal attention with dropout of its weights and of its result."""

    def __init__(self, size, heads, rate):
        super().__init__()
        self.heads, self.project, self.out = heads, nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.weights, self.result = nn.Dropout(rate), nn.Dropout(rate)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.project(x).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.mT / (d // self.heads) ** 0.5
        seen = torch.ones(t, t, dtype=torch.bool).tril()
        scores = self.weights(torch.softmax(scores.masked_fill(~seen, -torch.inf), -1))
        return self.result(self.out((scores @ v).transpose(1, 2).reshape(n, t, d)))


class Block(nn.Module):
    def __init__(self, size, heads, rate):
        super().__init__()
        self.first, self.second = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention = Attention(size, heads, rate)
        self.dense = nn.Sequential(
            nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size), nn.Dropout(rate))

    def forward(self, x):
        x = x + self.attention(self.first(x))
        return x + self.dense(self.second(x))


def gpt(rate):
    return nn.Sequential(*(Block(384, 6, rate) for _ in range(4))), (128, 384)


def cnn(rate):
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(rate / 2), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(rate),
        nn.Linear(128, 10)), (1, 28, 28)


def mlp(rate):
    layers = []
    for size in (784, 1024, 1024):
        layers += [nn.Linear(size, 1024), nn.ReLU(), nn.Dropout(rate)]
    return nn.Sequential(*layers, nn.Linear(1024, 10)), (784,)


def bert_layer(rate):
    return nn.TransformerEncoderLayer(768, 12, 3072, rate, "gelu", batch_first=True), (128, 768)


def bert(rate):
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_dropout_prob=rate, attention_probs_dropout_prob=rate,
                        attn_implementation="eager")
    model = BertModel(config)

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = model

        def forward(self, x):
            return self.bert(inputs_embeds=x).last_hidden_state

    return Encoder(), (128, 768)


def vit(rate):
    from transformers import ViTConfig, ViTModel

    model = ViTModel(ViTConfig(
        hidden_size=384, num_attention_heads=6, intermediate_size=1536, hidden_dropout_prob=rate,
        attention_probs_dropout_prob=rate, attn_implementation="eager"), add_pooling_layer=False)

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.vit = model

        def forward(self, x):
            return self.vit(x).last_hidden_state

    return Encoder(), (3, 224, 224)


MODELS = {"GPT-like blocks": gpt, "MNIST CNN": cnn, "784-3x1024-10": mlp,
          "BERT layer": bert_layer, "BERT-base of transformers": bert,
          "ViT-small of transformers": vit}


def _keep_memory():
    """Have the C library keep what is freed: else page faults take up to a half of a step.

    How many there are depends on what ran before, and differs by more than the dropout costs.
    """
    if sys.platform == "linux":
        trim_threshold, mmap_max = -1, -4
        library = ctypes.CDLL(None)
        library.mallopt(trim_threshold, 2**31 - 1)
        library.mallopt(mmap_max, 0)


def _step(model, x, compiled):
    """Return a run of one step: forward, backward and Adam."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-5)
    forward = torch.compile(model) if compiled else model

    def step():
        optimizer.zero_grad()
        loss = forward(x).square().mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def _model(name, rate):
    torch.manual_seed(0)
    try:
        return MODELS[name](rate)
    except ImportError as error:
        raise NotImplementedError(f"{error.name} is not installed") from None


def step(case, kind, compiled):
    """Return a run of a step with dropout of a ``kind``: "PyTorch", "cydropout" or "none".

    With dropout it brings the step without, `alone`: the same model in the same process.
    """
    _keep_memory()
    model, sample = _model(case.variant, case.rate)
    without, _ = _model(case.variant, 0.0)
    x = torch.randn(case.batch, *sample)
    alone = _step(without, x, compiled)
    if kind == "none":
        return alone
    if kind == "cydropout":
        import cydropout.torch

        cydropout.torch.replace_dropout(model)
    with_dropout = _step(model, x, compiled)

    def run():
        return with_dropout()

    run.alone = alone
    return run
