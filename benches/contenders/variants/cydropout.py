"""This library's layers, as in a training step: a context, a mask, forward and backward."""

import numpy as np

from cydropout import functional, layers
from cydropout.layers import Context
from cydropout.layers._workspace import Workspace
from cydropout.training import losses
from suite.variants import UNITS, WORDS


def _masked(make):
    """Return the variant of a layer whose noise is one mask, with results in kept buffers."""

    def variant(case, stream, x, dy):
        layer, y, dx = make(case), np.empty_like(x), np.empty_like(dy)
        ctx = Context(training=True, stream=stream, num_threads=None)

        def run():
            mask = layer.mask(x.shape, ctx)
            return mask.apply(x, out=y), mask.backward(dy, out=dx)

        return run

    return variant


def _built(make):
    """Return the variant of a layer with parameters, the first of which is given."""

    def variant(case, stream, x, weight, dy):
        layer = make(case)
        layer.build(x.shape[1:] if x.dtype.kind == "f" else (), 0, weight.dtype)
        parameter = layer.parameters()[0]
        np.copyto(parameter.value, weight)
        ctx = Context(training=True, stream=stream, num_threads=None, workspace=Workspace())

        def run():
            ctx.workspace.release()
            y, backward = layer.forward(x, ctx)
            parameter.zero_grad()
            dx = backward(dy)
            return (y, dx, parameter.grad) if dx.size else (y, parameter.grad)

        return run

    return variant


def _passed(make):
    """Return the variant of a layer as a step runs it."""

    def variant(case, stream, x, dy):
        layer = make(case)
        ctx = Context(training=True, stream=stream, num_threads=None, workspace=Workspace())

        def run():
            ctx.workspace.release()
            y, backward = layer.forward(x, ctx)
            return y, backward(dy)

        return run

    return variant


def __getattr__(name):
    """Return the variant of a layer that has no entry here: its rate says all."""
    if name not in layers.__all__:
        raise AttributeError(f"{name} is no layer")
    return _masked(lambda case: getattr(layers, name)(case.rate))


PatchDropout = _passed(lambda case: layers.PatchDropout(case.rate))
SoftmaxDropout = _passed(lambda case: layers.SoftmaxDropout(case.rate))
ConcreteDropout = _built(lambda case: layers.ConcreteDropout(None, case.rate))
VariationalGaussianDropout = _built(lambda case: layers.VariationalGaussianDropout(case.rate))
DropConnect = _built(lambda case: layers.DropConnect(UNITS, case.rate, bias=False))
DropConnect_per_sample = _built(
    lambda case: layers.DropConnect(UNITS, case.rate, per="sample", bias=False))
WeightDropout = _built(
    lambda case: layers.WeightDropout(layers.Dense(UNITS, bias=False), case.rate))
LayerDrop = _built(lambda case: layers.LayerDrop(layers.Dense(UNITS, bias=False), case.rate))
EmbeddingDropout = _built(
    lambda case: layers.Embedding(WORDS, case.shape[-1], rate=case.rate))


def Standout(case, stream, z, dy):
    def run():
        y, mask = functional.standout(z, rng=stream)
        return y, functional.standout_backward(dy, z, None, "relu", mask)[0]

    return run


def Zoneout(case, stream, new, previous, dy):
    layer, ctx = layers.Zoneout(case.rate), Context(True, stream, None)

    def run():
        y, backward = layer.forward(new, ctx, previous=previous)
        return y, *backward(dy)

    return run


def RecurrentDropout(case, stream, previous, forget, gate, candidate, dy):
    def run():
        mask = stream.draw(candidate.shape, case.rate)
        y = functional.gated_update(previous, forget, gate, candidate, mask)
        return y, *functional.gated_update_backward(dy, previous, forget, gate, candidate, mask)

    return run


def RDropLoss(case, stream, logits, labels, dy):
    loss = losses.RDropLoss()
    return lambda: loss(logits, labels)
