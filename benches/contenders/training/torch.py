"""PyTorch: an `nn.Sequential`, eager or compiled, and its fused Adam."""

import itertools

import torch
from torch import nn


def network(sizes, rate):
    layers = []
    for inputs, units in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, units), nn.ReLU()]
        layers += [nn.Dropout(rate)] if rate else []
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 10))


def monte_carlo(case, function, x):
    model, x = function(network((case.shape[1], 512, 512), case.rate)), torch.from_numpy(x)

    def run():
        with torch.no_grad():
            found = torch.stack([torch.softmax(model(x), dim=1) for _ in range(50)])
            return found.mean(dim=0), found.std(dim=0)

    return run


def epoch(case, compiled, x, labels, model=None):
    model = model or network((case.shape[1], *case.hidden), case.rate)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    criterion = nn.CrossEntropyLoss()
    x, labels = torch.from_numpy(x), torch.from_numpy(labels)

    def loss_of(batch, target):
        return criterion(model(batch).flatten(0, -2), target.flatten())

    step = torch.compile(loss_of, dynamic=False) if compiled else loss_of

    def run():
        total = 0.0
        order = torch.randperm(len(x))
        for rows in order.split(case.batch):
            loss = step(x[rows], labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / -(-len(x) // case.batch)

    return run
