"""What the compiler learns of the operator: the gradient of ReLU, (relu(x) > 0) dropout'(dy).

It would keep a bool of each element for that, whose writing takes longer than all else of the
dropout. The result of the dropout, which the next product keeps anyway, says the same: it is above
0 where ReLU's is and the mask keeps it, and where the mask does not, dropout'(dy) is 0.
"""

import sys
from typing import Any

from cydropout.torch import _noise
from cydropout.torch._torch import torch

_state = {"taught": False}


def teach() -> None:
    """Register the pattern with Inductor, once, when that is loaded: it is never loaded for us."""
    passes, matcher = (sys.modules.get(f"torch._inductor.{name}") for name in
                       ("fx_passes.joint_graph", "pattern_matcher"))
    if _state["taught"] or not (passes and matcher):
        return
    _state["taught"] = True
    try:
        _register(passes.early_patterns, matcher)
    except AttributeError:
        pass  # a PyTorch without such patterns: its compiled steps are right, and slower


def _register(patterns: Any, matcher: Any) -> None:
    aten, dropout = torch.ops.aten, torch.ops.cydropout.dropout.default
    call, anything, named = matcher.CallFunction, matcher.Arg, matcher.KeywordArg
    gradient = call(dropout, anything(), named("key"), named("p"), named("noise"), True)
    pattern = call(aten.where.self, call(aten.le.Scalar, named("relu"), 0), anything(), gradient)

    @matcher.register_graph_pattern(pattern, pass_dict=patterns)  # type: ignore[untyped-decorator]
    def use_result(match: Any, *_: Any, relu: Any, key: Any, p: float, noise: str) -> None:
        where, forward = match.output_node(), (relu, key, p, noise, False)
        results = [node for node in key.users if (node.target, node.args) == (dropout, forward)]
        if noise != _noise.ELEMENT or not results:
            return
        with where.graph.inserting_before(where):
            inactive = where.graph.call_function(aten.le.Scalar, (results[0], 0))
        inactive.meta.update(where.args[0].meta)
        where.update_arg(0, inactive)
