"""This library, in one of its builds."""

import contextlib
import dataclasses
import os

import numpy as np

from contenders import Base, pipeline, variant_of

#: What stands behind each hidden layer, or what is left of a step, by what the contender is told.
NETS = {name: name for name in ("nothing", "scattered", "blocks", "slice", "slice, lazy",
                                "products", "optimizer")}


class Contender(Base):
    def __init__(self, variant, threads):
        self.storage = "seed" if variant == "seed" else "bits"
        if variant in ("x86_64_v3", "baseline"):
            os.environ["CYDROPOUT_ISA"] = variant
        import cydropout
        from cydropout.functional import bias_activation_dropout
        from cydropout.masks import InferenceMask

        self.package, self.fused_pass = cydropout, bias_activation_dropout
        self.InferenceMask = InferenceMask
        cydropout.set_num_threads(1 if variant == "one thread" else threads)
        # As in a training step: products and kernels on one pool of threads.
        self.pool = contextlib.ExitStack()
        self.pool.enter_context(cydropout.functional.shared_threads())
        self.net = NETS.get(variant, "Dropout")
        config = cydropout.show_config("dicts")
        self.versions = (("cydropout", config["version"]), ("build", config["build"]),
                         ("BLAS kernels", config["BLAS kernels"]),
                         ("faster products", config.get("faster products", "")))
        self.stream = cydropout.MaskStream(0)
        self.told = variant

    def numpy(self, result):
        return result.keep if hasattr(result, "keep") else result

    def copy(self, case, x):
        # An inference mask of classic scaling is a scale copy by the same kernels.
        mask, y = self.InferenceMask(x.shape, 0.25, scaling="classic"), np.empty_like(x)
        return lambda: mask.apply(x, out=y)

    def forward(self, case, x):
        dropout, stream, y = self.package.dropout, self.stream, np.empty_like(x)
        rate = case.rates
        if case.shared_axes:
            return lambda: dropout(x, rate, rng=stream, out=y, shared_axes=case.shared_axes)
        return lambda: dropout(x, rate, rng=stream, out=y)

    def forward_backward(self, case, x, dy):
        stream, y, dx, rate = self.stream, np.empty_like(x), np.empty_like(x), case.rates
        axes, storage = case.shared_axes, self.storage

        def run():
            mask = stream.draw(x.shape, rate, shared_axes=axes, storage=storage)
            return mask.apply(x, out=y), mask.apply(dy, out=dx)

        return run

    def mask(self, case):
        stream, shape, rate = self.stream, case.shape, case.rates

        def run():
            mask = stream.draw(shape, rate)
            mask.bits  # noqa: B018 - this draws them
            return mask

        return run

    def ready_mask(self, case, x):
        mask, y = self.stream.draw(x.shape, case.rates), np.empty_like(x)
        mask.apply(x, out=y)
        return lambda: mask.apply(x, out=y)

    def fused(self, case, z, b):
        stream, y, rate = self.stream, np.empty_like(z), case.rates

        def run():
            mask = stream.draw(z.shape, rate, storage="seed")
            return self.fused_pass(z, b, "relu", mask, out=y)

        return run

    def separate(self, case, z, b):
        dropout, stream, y, rate = self.package.dropout, self.stream, np.empty_like(z), case.rates

        def run():
            np.add(z, b, out=y)
            np.maximum(y, 0, out=y)
            return dropout(y, rate, rng=stream, out=y)

        return run

    def variant(self, case, *inputs):
        from contenders.variants import cydropout as variants

        return variant_of(variants, case)(case, self.stream, *inputs)

    def epoch(self, case, x, labels):
        from contenders.training import cydropout as training

        if self.net == "products":
            return training.products(case, x, labels)
        return training.epoch(case, x, labels, self.net)

    def processes(self, case, x, labels):
        from contenders.processes import Processes

        ranks, _, what = self.told.partition(" ")
        return Processes(case, int(ranks), what)

    def estimator(self, case):
        from contenders.sklearn import estimator
        from cydropout.sklearn import DropoutMLPClassifier, DropoutMLPRegressor

        kind = DropoutMLPRegressor if case.operation == "regressor" else DropoutMLPClassifier
        return estimator(kind, case, dropout=case.rate)

    def classifier(self, case, x, y):
        from contenders.sklearn import fit_of
        from contenders.training import cydropout as training

        if self.net == "products":
            return training.products(case, x, y)
        return fit_of(self.estimator(case), x, y)

    regressor = classifier

    def network(self, case, x, labels):
        from contenders.networks import cydropout as networks
        from contenders.networks import parts
        from contenders.training import cydropout as training

        if self.net == "nothing":
            case = dataclasses.replace(case, rate=0.0)
        trainer = training.trainer(variant_of(networks, case)(case))
        fit = training.fit(case, x, labels, trainer)
        part = getattr(parts, self.net, None)
        return part(trainer, fit) if part else fit

    def after_product(self, case, a, b):
        self.pool.close()  # a user of plain calls has lent nothing
        dropout, stream, rate = self.package.dropout, self.stream, case.rate
        return pipeline.after_product(
            case, a, b, lambda x, out: dropout(x, rate, rng=stream, out=out))

    def training_loop(self, case, x, labels):
        self.pool.close()

        def draw(h):
            mask = self.stream.draw(h.shape, case.rate)
            return mask.apply(h), mask.apply

        return pipeline.training_loop(case, x, labels, draw)

    def monte_carlo(self, case, x):
        from contenders.training import cydropout as training

        return training.monte_carlo(case, self.stream, x)
