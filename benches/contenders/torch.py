"""PyTorch: its own dropout, eager and compiled, and a recipe of its other operations."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from contenders import Base, pipeline, refuse, variant_of
from contenders.networks import torch as networks
from contenders.training import fastest
from contenders.training import torch as training
from contenders.variants import torch as variants

F = torch.nn.functional
CHUNK = 2**15  # elements that stay in a second-level cache, with their random numbers
TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32,
         "float64": torch.float64}


def relu_dropout(z, b, rate):
    return F.dropout(torch.relu(z + b), rate)


class Contender(Base):
    versions = (("PyTorch", torch.__version__),)

    def __init__(self, variant, threads):
        self.compiled = "compiled" in variant
        self.kind = {"nothing": "none", "cydropout": "cydropout"}.get(
            variant.partition(" ")[0], "PyTorch")
        self.recipe = variant == "recipe"
        self.threads = threads
        torch.set_num_threads(threads)
        self.pool = ThreadPoolExecutor(threads) if self.recipe else None
        if self.compiled:
            torch._dynamo.config.cache_size_limit = 1000

    def _tensor(self, case, x):
        if case.dtype == "bfloat16":
            return torch.from_numpy(x.view("i2")).view(torch.bfloat16)
        return torch.from_numpy(x)

    def numpy(self, result):
        if isinstance(result, np.ndarray):
            return result
        if isinstance(result, tuple):
            return tuple(self.numpy(part) for part in result if part is not None)
        return (result.float() if result.dtype == torch.bfloat16 else result).detach().numpy()

    def _function(self, function):
        return torch.compile(function, dynamic=False) if self.compiled else function

    def _dropout(self, case):
        """Return dropout as a function of x."""
        rate = case.rate
        if not case.per_neuron and not case.shared_axes:
            return self._function(lambda x: F.dropout(x, rate))
        keep = torch.as_tensor(1 - case.rates, dtype=TYPES[case.dtype])

        def dropout(x):
            mask = torch.empty(case.mask_shape, dtype=x.dtype).bernoulli_(keep)
            return x * mask / keep

        if case.shared_axes == (2, 3) and len(case.shape) == 4:
            return self._function(lambda x: F.dropout2d(x, rate))
        return self._function(dropout)

    def copy(self, case, x):
        refuse(self.compiled or self.recipe, "the eager form is PyTorch's")
        x = self._tensor(case, x)
        y = torch.empty_like(x)
        return lambda: torch.mul(x, 2.0, out=y)

    def forward(self, case, x):
        x = self._tensor(case, x)
        if self.recipe:
            return self._kept(case, x)
        dropout = self._dropout(case)
        return lambda: dropout(x)

    def _over(self, size, work):
        """Return a run of work(generator, buffer, slice) over chunks of each thread's share.

        uniform_ fills serially, but lets other threads of Python fill beside it.
        """
        torch.set_num_threads(1)
        edges = [size * i // self.threads for i in range(self.threads + 1)]
        own = [(torch.Generator().manual_seed(i), torch.empty(CHUNK)) for i in range(self.threads)]

        def share(i):
            for begin in range(edges[i], edges[i + 1], CHUNK):
                end = min(begin + CHUNK, edges[i + 1])
                generator, u = own[i]
                work(generator, u[: end - begin], slice(begin, end))

        if self.threads == 1 or size <= CHUNK:
            edges[1] = size
            return lambda: share(0)
        return lambda: list(self.pool.map(share, range(self.threads)))

    def _kept(self, case, x):
        if not case.per_neuron and not case.shared_axes:
            y = torch.empty_like(x)
            flat, out, q, scale = x.view(-1), y.view(-1), 1 - case.rate, 1 / (1 - case.rate)

            def work(generator, u, part):
                keep = u.uniform_(generator=generator) < q
                torch.mul(flat[part], scale, out=out[part])
                out[part].mul_(keep)

            run = self._over(x.numel(), work)
            return lambda: (run(), y)[1]
        torch.set_num_threads(self.threads)
        u = torch.empty(case.mask_shape)
        keep, y = torch.empty(case.mask_shape, dtype=torch.bool), torch.empty_like(x)
        q = torch.as_tensor(1 - case.rates, dtype=torch.float32)
        scale = (1 / q).to(x.dtype) if case.per_neuron else float(1 / q)

        def run():
            u.uniform_()
            torch.lt(u, q, out=keep)
            torch.mul(x, scale, out=y)
            return y.mul_(keep)

        return run

    def forward_backward(self, case, x, dy):
        refuse(self.recipe, "autograd is PyTorch's")
        x, dy, dropout = self._tensor(case, x), self._tensor(case, dy), self._dropout(case)
        x.requires_grad_()

        def run():
            y = dropout(x)
            return y, torch.autograd.grad(y, x, dy)[0]

        return run

    def mask(self, case):
        refuse(self.compiled, "the eager form is PyTorch's")
        keep = torch.empty(case.size, dtype=torch.bool)
        if self.recipe:

            def work(generator, u, part):
                torch.lt(u.uniform_(generator=generator), 1 - case.rate, out=keep[part])

            run = self._over(case.size, work)
            return lambda: (run(), keep)[1]
        return lambda: keep.bernoulli_(1 - case.rate)

    def ready_mask(self, case, x):
        refuse(self.compiled or self.recipe, "the eager form is PyTorch's")
        x = self._tensor(case, x)
        mask = torch.empty_like(x).bernoulli_(1 - case.rate) / (1 - case.rate)
        y = torch.empty_like(x)
        return lambda: torch.mul(x, mask, out=y)

    def fused(self, case, z, b):
        refuse(not self.compiled, "only the compiled form fuses")
        z, b = self._tensor(case, z), self._tensor(case, b)
        run = torch.compile(relu_dropout, dynamic=False)
        return lambda: run(z, b, case.rate)

    def separate(self, case, z, b):
        refuse(self.compiled or self.recipe, "the eager form is PyTorch's")
        z, b = self._tensor(case, z), self._tensor(case, b)
        return lambda: relu_dropout(z, b, case.rate)

    def variant(self, case, *inputs):
        refuse(self.recipe, "autograd is PyTorch's")
        layer = self._function(variant_of(variants, case)(case))
        *inputs, dy = (torch.from_numpy(x) for x in inputs)
        wanted = [x.requires_grad_() for x in inputs if x.is_floating_point()]

        def run():
            y = layer(*inputs)
            return y, *torch.autograd.grad(y, wanted, dy, allow_unused=True)

        return run

    def epoch(self, case, x, labels):
        refuse(self.recipe, "the eager form is PyTorch's")
        return training.epoch(case, self.compiled, x, labels)

    def network(self, case, x, labels):
        refuse(self.recipe, "the eager form is PyTorch's")
        refuse(self.compiled and case.variant == "characters", "an LSTM is not compiled")
        return fastest(training.epoch(case, self.compiled, x, labels, model)
                       for model in variant_of(networks, case)(case))

    def monte_carlo(self, case, x):
        refuse(self.recipe, "the eager form is PyTorch's")
        return training.monte_carlo(case, self._function, x)

    def after_product(self, case, a, b):
        refuse(self.compiled or self.recipe, "the eager form is PyTorch's")

        def dropout(x, out):
            torch.from_numpy(out).copy_(F.dropout(torch.from_numpy(x), case.rate))

        return pipeline.after_product(case, a, b, dropout)

    def training_loop(self, case, x, labels):
        refuse(self.compiled or self.recipe, "the eager form is PyTorch's")

        def draw(h):
            mask = torch.empty(h.shape).bernoulli_(1 - case.rate).div_(1 - case.rate)

            def times_mask(x):
                return torch.mul(torch.from_numpy(x), mask).numpy()

            return times_mask(h), times_mask

        return pipeline.training_loop(case, x, labels, draw)

    def torch_step(self, case):
        from contenders import torch_steps

        refuse(self.recipe, "the eager form is PyTorch's")
        return torch_steps.step(case, self.kind, self.compiled)
