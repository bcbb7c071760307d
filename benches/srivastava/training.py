"""Train recipes over seeds; what was begun goes on, what is finished stays."""

import json
from dataclasses import dataclass
from pathlib import Path

import cydropout
from cydropout.training.callbacks import Callback, LearningRateSchedule
from cydropout.training.checkpoint import load_checkpoint
from srivastava.recipes import RECIPES
from suite.machine import describe


@dataclass(frozen=True)
class Run:
    """One training of a recipe. A name holds all that a run depends on."""

    recipe: str
    epochs: int
    batch: int
    seed: int

    @property
    def name(self):
        return f"{self.recipe}-{self.epochs}-epochs-of-{self.batch}-seed-{self.seed}"

    def checkpoint(self, directory):
        return directory / f"{self.name}.safetensors"

    def result(self, directory):
        return directory / f"{self.name}.json"

    def work(self, epochs, samples):
        return RECIPES[self.recipe].work * epochs * samples

    def done(self, directory):
        """Return how many epochs are done."""
        if self.result(directory).exists():
            return self.epochs
        path = self.checkpoint(directory)
        return int(load_checkpoint(path)["epoch"]) if path.exists() else 0


class Tell(Callback):
    """Move the bar of all runs with each batch; nothing of it is part of the run."""

    def __init__(self, bar, run, samples):
        self.bar, self.run, self.samples = bar, run, samples
        self.label = f"{run.recipe}, seed {run.seed}"

    def on_epoch_begin(self, trainer, epoch):
        self.left = self.samples
        self.bar.set_description_str(f"{self.label}, epoch {epoch}/{self.run.epochs}")

    def on_batch_begin(self, trainer, epoch, step):
        batch = min(self.run.batch, self.left)
        self.left -= batch
        self.bar.update(self.run.work(1, batch))

    def on_epoch_end(self, trainer, epoch, record):
        self.bar.set_postfix_str(f"test error {100 * (1 - record['val_accuracy']):.2f} %")


def train(run, data, directory, bar):
    """Train one run to its end, from where it stopped, and write its result."""
    recipe = RECIPES[run.recipe]
    trainer = cydropout.Trainer(
        recipe.model(recipe.hidden), "softmax_cross_entropy", recipe.optimizer(), rng=run.seed
    )
    history = trainer.fit(
        data.x_train, data.y_train, epochs=run.epochs, batch_size=run.batch,
        validation_data=(data.x_test, data.y_test), progress=False,
        callbacks=[LearningRateSchedule(recipe.learning_rate(run.epochs)),
                   Tell(bar, run, len(data.x_train))],
        checkpoint=run.checkpoint(directory), resume=True,
    )
    columns = history.to_dict()
    fields = {
        "recipe": run.recipe, "epochs": run.epochs, "batch": run.batch, "seed": run.seed,
        "samples": len(data.x_train),
        "errors": [100 * (1 - a) for a in columns["val_accuracy"]],
        "seconds": sum(columns["seconds"]), "machine": describe(),
        "version": cydropout.__version__,
    }
    target = run.result(directory)
    partial = target.with_suffix(".part")
    partial.write_text(json.dumps(fields) + "\n")
    partial.replace(target)


def train_all(runs, data, directory):
    """Train all runs under one bar, which knows the work of each."""
    from tqdm import tqdm

    samples = len(data.x_train)
    total = sum(run.work(run.epochs, samples) for run in runs)
    already = sum(run.work(run.done(directory), samples) for run in runs)
    with tqdm(total=total, initial=already, unit=" products", unit_scale=True,
              dynamic_ncols=True, smoothing=0.05) as bar:
        for run in runs:
            if not run.result(directory).exists():
                train(run, data, directory, bar)


def results(directory):
    """Return what the finished runs left, by recipe: those of the longest training alone."""
    found = {}
    for path in sorted(Path(directory).glob("*.json")):
        fields = json.loads(path.read_text())
        found.setdefault(fields["recipe"], {}).setdefault(
            (fields["epochs"], fields["batch"]), []).append(fields)
    return {recipe: by[max(by)] for recipe, by in found.items()}
