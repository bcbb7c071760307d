"""Conversion of PyTorch's models, there and back."""

import copy
import io
import pickle

import pytest

from cydropout import MaskStream

torch = pytest.importorskip("torch", minversion="2.10")
cdt = pytest.importorskip("cydropout.torch")
nn = torch.nn

# PyTorch's own: its compiler runs code that it has given up.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

PLAIN = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")


def seeded(function, seed=0):
    torch.manual_seed(seed)
    return function()


class Tied(nn.Module):
    """A dropout that stands in two places, and one inside another module."""

    def __init__(self):
        super().__init__()
        self.first = nn.Dropout(0.3)
        self.second = self.first
        self.block = nn.Sequential(nn.Linear(4, 4), nn.ModuleList([nn.Dropout2d(0.2)])[0])


@pytest.mark.parametrize("name", PLAIN)
def test_each_class_goes_there_and_back(name):
    own = getattr(nn, name)
    layer = own(0.3, True).eval()
    seen = []
    layer.register_forward_hook(lambda *_: seen.append(True))
    model = nn.Sequential(layer)
    assert cdt.replace_dropout(model) == 1
    assert model[0] is layer and type(layer) is getattr(cdt, name) and isinstance(layer, own)
    assert (layer.p, layer.inplace, layer.training) == (0.3, True, False)
    assert repr(layer) == f"{name}(p=0.3, inplace=True)"
    model(torch.ones(2, 3, 4, 4, 4)[:, :, 0] if name != "Dropout3d" else torch.ones(2, 3, 4, 4, 4))
    assert seen and cdt.report(model) == {"0": "converted"}
    assert cdt.revert_dropout(model) == 1 and type(layer) is own
    assert cdt.report(model)["0"].startswith("not converted yet")


def test_the_model_itself_and_what_it_shares():
    alone = nn.Dropout()
    assert cdt.replace_dropout(alone) == 1 and type(alone) is cdt.Dropout
    model = Tied()
    assert cdt.replace_dropout(model) == 2
    assert model.first is model.second and type(model.block[1]) is cdt.Dropout2d


def test_skip_and_types():
    def model():
        return nn.ModuleDict({"a": nn.Dropout(), "b": nn.Dropout2d(), "c": nn.Dropout()})

    assert cdt.replace_dropout(model(), skip=["a", "c"]) == 1
    assert cdt.replace_dropout(model(), skip=lambda name, module: name == "a") == 2
    assert cdt.replace_dropout(model(), types=[nn.Dropout2d]) == 1
    with pytest.raises(ValueError, match="Linear"):
        cdt.replace_dropout(model(), types=[nn.Linear])
    with pytest.raises(TypeError, match="Dropout"):
        cdt.replace_dropout([nn.Dropout()])


def test_a_model_without_dropout_is_warned_about():
    with pytest.warns(UserWarning, match="no dropout"):
        assert cdt.replace_dropout(nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2))) == 0


class Own(nn.Dropout):
    """A dropout that does something else."""

    def forward(self, x):
        return x


class Calls(nn.Module):
    """A module that drops without one inside."""

    def forward(self, x):
        return nn.functional.dropout(x, 0.5, self.training)


class Passes(nn.Module):
    """A module that passes its rate on."""

    def forward(self, x):
        rate = 0.5 if self.training else 0.0
        return nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=rate)


def test_what_is_not_converted_is_named():
    model = nn.Sequential(Own(), nn.Dropout())
    assert cdt.replace_dropout(model) == 1
    found = cdt.report(model)
    assert "Own is a subclass" in found["0"] and found["1"] == "converted"


@pytest.mark.parametrize("kind", [Calls, Passes])
def test_a_forward_that_calls_dropout_is_converted(kind):
    torch._dynamo.reset()
    own = {Calls: lambda x: cdt.functional.dropout(x, 0.5),
           Passes: lambda x: cdt.scaled_dot_product_attention(x, x, x, dropout_p=0.5)}[kind]
    model, x = nn.Sequential(kind()), torch.randn(2, 4, 6, 8)
    assert "not converted yet" in cdt.report(model)["0"]
    with cdt.functional_calls():
        within = seeded(lambda: model(x))
    assert torch.equal(within, seeded(lambda: own(x)))
    assert not torch.equal(within, seeded(lambda: model(x)))
    assert cdt.replace_dropout(model) == 1 and cdt.report(model) == {"0": "converted"}
    assert torch.equal(seeded(lambda: model(x)), within)
    compiled = torch.compile(model, fullgraph=True)
    torch.testing.assert_close(seeded(lambda: compiled(x)), within)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin[0].forward.module is twin[0]
        assert torch.equal(seeded(lambda twin=twin: twin(x)), within)
    assert cdt.revert_dropout(model) == 1 and "forward" not in vars(model[0])


def test_copies_pickles_and_states():
    model = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.3), nn.Linear(16, 2))
    names = list(model.state_dict())
    cdt.replace_dropout(model)
    assert list(model.state_dict()) == names
    x = torch.randn(8, 4)
    expected = seeded(lambda: model(x))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)),
             torch.load(file, weights_only=False)]
    for twin in twins:
        assert torch.equal(seeded(lambda twin=twin: twin(x)), expected)


def test_streams_of_their_own():
    model = nn.Sequential(nn.Dropout(), nn.Dropout(0.3))
    assert cdt.replace_dropout(model, rng=MaskStream(0)) == 2
    x = torch.ones(1000)
    first = model(x)
    assert not torch.equal(model[0](x) != 0, model[1](x) != 0)
    again = nn.Sequential(nn.Dropout(), nn.Dropout(0.3))
    cdt.replace_dropout(again, rng=MaskStream(0))
    assert torch.equal(again(x), first)
    cdt.revert_dropout(model)
    assert not model.state_dict()


ATTENTION = {
    "plain": ({}, {}),
    "sequence first": ({"batch_first": False}, {}),
    "no bias": ({"bias": False}, {}),
    "other sizes": ({"kdim": 6, "vdim": 7}, {}),
    "masks": ({}, {"attn_mask": torch.rand(5, 5).tril() == 0,
                   "key_padding_mask": torch.tensor([[False] * 5, [False] * 4 + [True]])}),
    "float masks": ({}, {"attn_mask": torch.randn(2 * 4, 5, 5),
                         "key_padding_mask": torch.randn(2, 5)}),
    "all weights": ({}, {"average_attn_weights": False}),
    "no weights": ({}, {"need_weights": False}),
    "causal": ({}, {"attn_mask": torch.ones(5, 5).triu(1) > 0, "is_causal": True}),
    "one sample": ({}, {"one": True}),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_that_of_pytorch_with_weights_dropped_here(name):
    torch._dynamo.reset()
    settings, options = ATTENTION[name]
    options = dict(options)
    layer = nn.MultiheadAttention(16, 4, **{"dropout": 1e-12, "batch_first": True, **settings})
    sizes = (16, settings.get("kdim", 16), settings.get("vdim", 16))
    x = [torch.randn(5, 2, size) if settings.get("batch_first") is False
         else torch.randn(2, 5, size) for size in sizes]
    if options.pop("one", False):
        x = [part[0] for part in x]
    expected = layer.eval()(*x, **options)
    layer.train()
    assert cdt.replace_dropout(layer) == 1
    for found, wanted in zip(layer(*x, **options), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    layer.dropout = 0.4
    y, weights = seeded(lambda: layer(*x, **options))
    assert not torch.allclose(y, expected[0])
    if weights is not None and options.get("average_attn_weights") is False:
        whole = expected[1]
        mine = seeded(lambda: cdt.functional.dropout(whole, 0.4))
        torch.testing.assert_close(weights, mine)
    compiled = torch.compile(layer, fullgraph=True)
    torch.testing.assert_close(seeded(lambda: compiled(*x, **options))[0], y)


@pytest.mark.parametrize("setting", ["add_bias_kv", "add_zero_attn"])
def test_attention_that_cannot_be_converted_is_named(setting):
    model = nn.Sequential(nn.MultiheadAttention(16, 4, dropout=0.4, **{setting: True}))
    with pytest.warns(UserWarning, match="no dropout"):
        assert cdt.replace_dropout(model) == 0
    assert setting in cdt.report(model)["0"]


@pytest.mark.parametrize("options", [
    {}, {"is_causal": True}, {"attn_mask": torch.rand(5, 7) > 0.3}, {"scale": 0.3},
    {"attn_mask": torch.randn(5, 7)}, {"enable_gqa": True},
])
def test_scaled_dot_product_attention_is_that_of_pytorch(options):
    heads = 2 if options.get("enable_gqa") else 4
    q = torch.randn(2, 4, 5, 8)
    k, v = torch.randn(2, 2, heads, 5 if options.get("is_causal") else 7, 8)
    expected = nn.functional.scaled_dot_product_attention(q, k, v, **options)
    assert torch.equal(cdt.scaled_dot_product_attention(q, k, v, **options), expected)
    nearly = cdt.scaled_dot_product_attention(q, k, v, dropout_p=1e-12, **options)
    torch.testing.assert_close(nearly, expected)
    dropped = cdt.scaled_dot_product_attention(q, k, v, dropout_p=0.5, **options)
    assert not torch.allclose(dropped, expected)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_transformers_are_converted_whole(kind):
    if kind == "encoder":
        block = nn.TransformerEncoderLayer(16, 4, 32, 0.1, batch_first=True)
        model = nn.TransformerEncoder(block, 2)
        inputs, count = (torch.randn(2, 5, 16),), 2 * 4
    else:
        block = nn.TransformerDecoderLayer(16, 4, 32, 0.1, batch_first=True)
        model = nn.TransformerDecoder(block, 2)
        inputs, count = (torch.randn(2, 5, 16), torch.randn(2, 6, 16)), 2 * 6
    expected = model.eval()(*inputs)
    model.train()
    assert cdt.replace_dropout(model) == count
    assert set(cdt.report(model).values()) == {"converted"}
    y = seeded(lambda: model(*inputs))
    assert torch.equal(seeded(lambda: model(*inputs)), y) and not torch.allclose(y, expected)
    torch.testing.assert_close(model.eval()(*inputs), expected)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_recurrent_networks_drop_between_their_layers(name, bidirectional, batch_first):
    layer = getattr(nn, name)(6, 8, 3, dropout=0.4, bidirectional=bidirectional,
                              batch_first=batch_first)
    x = torch.randn(4, 5, 6)
    assert cdt.replace_dropout(layer) == 1
    y = seeded(lambda: layer(x))[0]
    assert torch.equal(seeded(lambda: layer(x))[0], y)
    whole, ends = layer.eval()(x)
    assert not torch.allclose(whole, y)
    layer.train().dropout = 1e-12
    for inputs in ((x,), (x, tuple(map(torch.zeros_like, ends)) if name == "LSTM"
                          else torch.zeros_like(ends)), (x[0],)):
        found, expected = layer(*inputs), layer.eval()(*inputs)
        layer.train()
        torch.testing.assert_close(found, expected)
    packed = nn.utils.rnn.pack_padded_sequence(x, [3, 2, 2, 1][: x.size(0 if batch_first else 1)],
                                               batch_first=batch_first) if batch_first else None
    if packed is not None:
        assert layer(packed)[0].data.shape[-1] == y.shape[-1]
