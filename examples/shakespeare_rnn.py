"""A character LSTM on tiny-shakespeare: validation loss with and without dropout, and its text."""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from cydropout import MaskStream
from cydropout.layers import LSTM, Context, Dense, Dropout, Embedding, Sequential
from cydropout.training.losses import SoftmaxCrossEntropy
from cydropout.training.optimizers import Adam


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("CYDROPOUT_DATA", "."), "tinyshakespeare"),
        help="directory of input.txt",
    )
    parser.add_argument("--characters", type=int, default=200_000, help="of the training text")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=64, help="characters between two updates")
    parser.add_argument("--rate", type=float, default=0.4, help="of dropout, where there is any")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--sample", type=int, default=400, help="characters of text to write")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def network(vocabulary, units, rate):
    """Return the model: one mask per sequence for the input and the state, one for the output."""
    return Sequential([
        Embedding(vocabulary, 64),
        LSTM(units, dropout=rate / 2, recurrent_dropout=rate),
        Dropout(rate),
        Dense(vocabulary),
    ])


def parts(tokens, batch, steps):
    """Yield inputs and targets: rows that go on from one part to the next."""
    length = (len(tokens) - 1) // batch
    if length < 1:
        raise SystemExit(f"{len(tokens)} characters are too few for {batch} rows")
    x = tokens[: batch * length].reshape(batch, length)
    y = tokens[1 : batch * length + 1].reshape(batch, length)
    for start in range(0, length, steps):
        yield x[:, start : start + steps], y[:, start : start + steps]


def train(model, tokens, args, stream, optimizer):
    """Learn the text once; the state goes on from part to part, its gradient does not."""
    loss, total, states = SoftmaxCrossEntropy(), 0.0, {}
    for x, y in parts(tokens, args.batch, args.steps):
        ctx = Context(training=True, stream=stream, input_gradient=False, states=states)
        logits, backward = model.forward(x, ctx)
        value, gradient = loss(logits, y)
        for parameter in model.parameters():
            parameter.zero_grad()
        backward(gradient)
        optimizer.step(model.parameters())
        total += value * x.size
    return total / (len(tokens) // args.batch * args.batch)


def evaluate(model, tokens, args):
    """Return the mean loss per character, in nats, with nothing dropped."""
    loss, total, count, ctx = SoftmaxCrossEntropy(), 0.0, 0, Context(states={})
    for x, y in parts(tokens, args.batch, args.steps):
        total += loss(model.forward(x, ctx)[0], y)[0] * x.size
        count += x.size
    return total / count


def write(model, characters, args):
    """Return text that the model draws, one character after the other."""
    rng, ctx = np.random.default_rng(args.seed), Context(states={})
    token, text = characters.index("\n"), []
    for _ in range(args.sample):
        logits = model.forward(np.array([[token]]), ctx)[0][0, 0].astype("f8") / args.temperature
        p = np.exp(logits - logits.max())
        token = rng.choice(len(characters), p=p / p.sum())
        text.append(characters[token])
    return "".join(text)


def main():
    args = options()
    path = args.data / "input.txt"
    if not path.is_file():
        raise SystemExit(f"no {path}: say with --data where the input.txt of tiny-shakespeare is")
    text = path.read_text(encoding="utf-8")
    characters = sorted(set(text))
    tokens = np.array([characters.index(c) for c in text])
    last = len(text) // 10
    training, validation = tokens[: min(args.characters, len(text) - last)], tokens[-last:]
    rows, samples = [], []
    for name, rate in (("no dropout", 0.0), (f"dropout {args.rate}", args.rate)):
        model = network(len(characters), args.units, rate)
        model.build((args.steps,), args.seed)
        stream, optimizer = MaskStream(args.seed), Adam(2e-3)
        losses, best, began = [], None, time.perf_counter()
        for epoch in range(1, args.epochs + 1):
            value = train(model, training, args, stream, optimizer)
            losses.append(evaluate(model, validation, args))
            print(f"{name}, epoch {epoch}: training {value:.3f}, validation {losses[-1]:.3f}",
                  flush=True)
            if losses[-1] == min(losses):
                best = model.state_dict()
        seconds = (time.perf_counter() - began) / args.epochs
        rows.append(
            f"| {name} | {value:.3f} | {losses[-1]:.3f} | {min(losses):.3f} "
            f"| {np.argmin(losses) + 1} | {seconds:.1f} |"
        )
        model.load_state_dict(best)
        samples.append(f"{name}:\n\n{write(model, characters, args)}")
    print("\n| network | training loss | validation loss | at its best | epoch | s / epoch |")
    print("|---|---|---|---|---|---|", *rows, sep="\n")
    print("", *samples, sep="\n\n")


if __name__ == "__main__":
    main()
