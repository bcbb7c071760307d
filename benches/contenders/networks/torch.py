"""PyTorch: its modules. A function returns each form that may be the fastest here."""

import torch
from torch import nn
from torch.nn import functional as F

from contenders.networks import HEADS, SPATIAL


class Images(nn.Sequential):
    """Channels first or last, as the images are laid out."""

    def __init__(self, case, layout):
        *filters, units = case.hidden
        height, width, channels = case.shape[1:]
        layers = []
        for before, after in zip((channels, *filters), filters, strict=False):
            layers += [nn.Conv2d(before, after, 3, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
                       nn.MaxPool2d(2), nn.Dropout2d(SPATIAL * case.rate)]
            height, width = (height - 2) // 2, (width - 2) // 2
        inputs = height * width * filters[-1]
        super().__init__(*layers, nn.Flatten(), nn.Linear(inputs, units), nn.ReLU(),
                         nn.Dropout(case.rate), nn.Linear(units, case.classes))
        self.layout = layout
        self.to(memory_format=layout)

    def forward(self, x):
        return super().forward(x.movedim(3, 1).to(memory_format=self.layout))


def images(case):
    return [Images(case, layout) for layout in (torch.contiguous_format, torch.channels_last)]


class Characters(nn.Module):
    def __init__(self, case):
        super().__init__()
        self.embedding = nn.Embedding(case.classes, 64)
        self.lstm = nn.LSTM(64, case.hidden[0], batch_first=True)
        self.dropout = nn.Dropout(case.rate)
        self.linear = nn.Linear(case.hidden[0], case.classes)

    def forward(self, x):
        h, _ = self.lstm(self.dropout(self.embedding(x)))
        return self.linear(self.dropout(h))


def characters(case):
    return [Characters(case)]


class Attention(nn.Module):
    """Attention by `scaled_dot_product_attention`, or written out."""

    def __init__(self, units, rate, written_out):
        super().__init__()
        self.rate, self.written_out = rate, written_out
        self.before, self.behind = nn.Linear(units, 3 * units), nn.Linear(units, units)

    def forward(self, x):
        n, time, units = x.shape
        q, k, v = self.before(x).view(n, time, 3, HEADS, units // HEADS).permute(2, 0, 3, 1, 4)
        if self.written_out:
            scores = q * (units // HEADS) ** -0.5 @ k.transpose(2, 3)
            hidden = torch.ones(time, time, dtype=torch.bool).triu(1)
            weights = torch.softmax(scores.masked_fill(hidden, -torch.inf), 3)
            h = F.dropout(weights, self.rate) @ v
        else:
            h = F.scaled_dot_product_attention(q, k, v, dropout_p=self.rate, is_causal=True)
        return self.behind(h.transpose(1, 2).reshape(x.shape))


class Beside(nn.Sequential):
    """Add what the layers give to their input."""

    def forward(self, x):
        return x + super().forward(x)


class Sentences(nn.Module):
    def __init__(self, case, written_out):
        super().__init__()
        units, rate = case.hidden[0], case.rate
        self.embedding = nn.Embedding(case.classes, units)
        self.positions = nn.Parameter(torch.empty(case.shape[1], units).uniform_(-0.05, 0.05))
        layers = [nn.Dropout(rate)]
        for n in case.hidden:
            layers += [
                Beside(nn.LayerNorm(n), Attention(n, rate, written_out), nn.Dropout(rate)),
                Beside(nn.LayerNorm(n), nn.Linear(n, 4 * n), nn.GELU(), nn.Dropout(rate),
                       nn.Linear(4 * n, n), nn.Dropout(rate)),
            ]
        self.layers = nn.Sequential(*layers, nn.LayerNorm(units), nn.Linear(units, case.classes))

    def forward(self, x):
        return self.layers(self.embedding(x) + self.positions)


def sentences(case):
    return [Sentences(case, written_out) for written_out in (False, True)]
