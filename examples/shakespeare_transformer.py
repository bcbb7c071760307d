"""A character transformer on tiny-shakespeare, with dropout and without: losses, and its text."""

import argparse
import math
import os
from pathlib import Path

import numpy as np

from cydropout import Trainer
from cydropout.layers import (
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    PositionalEmbedding,
    Sequential,
    TransformerBlock,
    depth_rates,
)
from cydropout.training.callbacks import LearningRateSchedule


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    here = os.environ.get("CYDROPOUT_DATA")
    text = Path(here) / "tinyshakespeare" / "input.txt" if here else Path("input.txt")
    parser.add_argument("--text", type=Path, default=text, help="the file to learn from")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0, 0.2])
    parser.add_argument("--depth-rate", type=float, default=0.0, help="that of the last block")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--length", type=int, default=64, help="characters in a sequence")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--characters", type=int, help="read no more than these")
    parser.add_argument("--sample", type=int, default=400, help="characters to write")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def windows(tokens, length):
    """Cut the text into sequences, and the same one character later: what is to be predicted."""
    count = (len(tokens) - 1) // length
    return (tokens[at : at + count * length].reshape(count, length) for at in (0, 1))


def network(vocabulary, rate, settings):
    depths = depth_rates(settings.blocks, settings.depth_rate if rate else 0.0)
    blocks = [
        TransformerBlock(
            settings.units, settings.heads, 4 * settings.units,
            rate=rate, depth_rate=depth_rate, causal=True,
        )
        for depth_rate in depths
    ]
    return Sequential([
        Embedding(vocabulary, settings.units),
        PositionalEmbedding(settings.length),
        Dropout(rate),
        *blocks,
        LayerNorm(),
        Dense(vocabulary),
    ])


def sample(model, start, settings):
    """Write on from the tokens of ``start``, one character after the other."""
    rng, tokens = np.random.default_rng(settings.seed), list(start)
    for _ in range(settings.sample):
        logits = model(np.array([tokens[-settings.length :]]))[0, -1] / settings.temperature
        odds = np.exp(logits.astype("f8") - logits.max())
        tokens.append(int(rng.choice(len(odds), p=odds / odds.sum())))
    return tokens


def main():
    settings = options()
    text = settings.text.read_text(encoding="utf-8")[: settings.characters]
    characters = sorted(set(text))
    tokens = np.array([characters.index(one) for one in text])
    split = len(tokens) * 9 // 10
    x, y = windows(tokens[:split], settings.length)
    validation = tuple(windows(tokens[split:], settings.length))

    def learning_rate(epoch):
        return 0.001 * (0.1 + 0.45 * (1 + math.cos(math.pi * (epoch - 1) / settings.epochs)))

    rows, texts = [], []
    for rate in settings.rates:
        model = network(len(characters), rate, settings)
        trainer = Trainer(model, "softmax_cross_entropy", "adamw", rng=settings.seed)
        records = trainer.fit(
            x, y, epochs=settings.epochs, batch_size=settings.batch, validation_data=validation,
            callbacks=[LearningRateSchedule(learning_rate)], progress=f"rate {rate}",
        ).records
        best = min(records, key=lambda record: record["val_loss"])
        last, seconds = records[-1], sum(record["seconds"] for record in records)
        rows.append(
            f"| {rate} | {last['loss']:.3f} | {last['val_loss']:.3f} | {best['val_loss']:.3f} "
            f"| {best['epoch']} | {seconds / len(records):.1f} |"
        )
        start = [characters.index("\n")]
        written = sample(model, start, settings)[1:]
        texts.append(f"Rate {rate}:\n\n```\n{''.join(characters[one] for one in written)}\n```")
    print("| dropout | training loss | validation loss | best | in epoch | seconds an epoch |")
    print("|---|---|---|---|---|---|")
    print("\n".join(rows), *texts, sep="\n\n")


main()
