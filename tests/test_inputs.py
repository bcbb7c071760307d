"""What samples and targets may be: arrays, sparse matrices, tables; and what is refused by name."""

import numpy as np
import pytest
from layer_cases import ROWS, training
from training_cases import assert_same_bits, state, without_seconds

from cydropout import MaskStream, Trainer, predict_mc
from cydropout.layers import Context, Dense, Dropout, Embedding, Sequential
from cydropout.training import losses
from cydropout.training.callbacks import DeadUnits, dead_units
from cydropout.training.losses.classes import ClassLoss
from cydropout.training.monte_carlo import predict_pass
from cydropout.tuning import tune_rate

RNG = np.random.default_rng(0)
X = RNG.standard_normal((41, 6)).astype("float32")
X[abs(X) < 0.5] = 0
Y = (X[:, 0] > 0).astype("int64")
MASKED, MASKED_Y = np.ma.masked_greater(X, 1), np.ma.masked_greater(Y, 0)
FIT = {"epochs": 2, "batch_size": 8, "progress": False}


def net():
    return Sequential([Dense(8, activation="relu"), Dropout(0.5), Dense(2)])


def trainer():
    return Trainer(net(), "softmax_cross_entropy", "adam", rng=0)


def built():
    model = net()
    model.build((6,), 0)
    return model


def embedding():
    layer = Embedding(2, 3)
    layer.build((), 0)
    return layer


def transformed(x):
    pytest.importorskip("sklearn")
    from cydropout.sklearn import FeatureDropoutTransformer

    return FeatureDropoutTransformer(0.5, drop="zero", random_state=0).fit(X).transform(x)


# ---------------------------------------------------------------- masked arrays

TAKERS = {
    "fit-x": lambda: trainer().fit(MASKED, Y, **FIT),
    "fit-y": lambda: trainer().fit(X, MASKED_Y, **FIT),
    "fit-batches": lambda: trainer().fit([(MASKED, Y)], **FIT),
    "fit-stream": lambda: trainer().fit(lambda rng: iter([(X, MASKED_Y)]), **FIT),
    "validation-x": lambda: trainer().fit(X, Y, validation_data=(MASKED, Y), **FIT),
    "validation-y": lambda: trainer().fit(X, Y, validation_data=(X, MASKED_Y), **FIT),
    "evaluate-x": lambda: trainer().evaluate(MASKED, Y),
    "evaluate-y": lambda: trainer().evaluate(X, MASKED_Y),
    "predict": lambda: trainer().predict(MASKED),
    "predict_mc": lambda: predict_mc(built(), MASKED, 2),
    "predict_pass": lambda: predict_pass(built(), MASKED, 1),
    "model": lambda: built().forward(MASKED, Context()),
    "embedding": lambda: embedding().forward(MASKED_Y, Context()),
    "dead_units": lambda: dead_units(built(), MASKED),
    "DeadUnits": lambda: DeadUnits(MASKED),
    "tune_rate": lambda: tune_rate(net(), "mean_squared_error", "sgd", MASKED, Y, [0.5], epochs=1),
    "transform": lambda: transformed(MASKED),
}


@pytest.mark.parametrize("taker", TAKERS)
def test_masked_arrays_are_refused(taker):
    with pytest.raises(TypeError, match=r"masked array.*filled\(0\)"):
        TAKERS[taker]()


@pytest.mark.parametrize("name", [n for n in ROWS if n != "Embedding"])
def test_layers_refuse_masked_arrays(name):
    layer, x = ROWS[name].make(), RNG.random(ROWS[name].shape)
    layer.build(x.shape[1:], 0, "float64")
    with pytest.raises(TypeError, match="masked array"):
        layer.forward(np.ma.masked_greater(x, 0.5), training())


@pytest.mark.parametrize("name", ROWS)
def test_a_number_alone_is_no_batch(name):
    layer = ROWS[name].make()
    layer.build(ROWS[name].shape[1:], 0)
    stream = MaskStream(0)
    try:
        y, _ = layer.forward(np.array(1.0, "f4"), Context(True, stream))
    except (TypeError, ValueError):
        assert stream.next_draw == 0
    else:
        assert y.shape == ()


@pytest.mark.parametrize("name", losses.NAMES)
def test_losses_refuse_masked_arrays(name):
    loss, p = losses.get(name), np.full((4, 2), 0.5)
    t = np.zeros(4 // loss.passes, int) if isinstance(loss, ClassLoss) else np.zeros((4, 2))
    for call in (loss, loss.measured, loss.accuracy):
        if call == loss.accuracy and call(p, t) is None:
            continue
        call(p, t)
        for pair in ((np.ma.masked_array(p), t), (p, np.ma.masked_array(t))):
            with pytest.raises(TypeError, match="masked array"):
                call(*pair)


# ---------------------------------------------------------------- sparse matrices and tables


def sources():
    """X in other forms, each with the package that it needs."""
    for form in ("csr_array", "csr_matrix", "csc_array", "coo_array"):
        yield form, "scipy.sparse", lambda module, form=form: getattr(module, form)(X)
    for package in ("pandas", "polars"):
        yield package, package, lambda module: module.DataFrame(
            {f"column {n}": X[:, n] for n in range(6)})


@pytest.mark.parametrize("name, package, make", [*sources()], ids=lambda one: str(one)[:10])
@pytest.mark.parametrize("shuffle", [True, False])
def test_other_forms_train_like_the_array(name, package, make, shuffle):
    x = make(pytest.importorskip(package))
    runs = [trainer(), trainer()]
    histories = [
        t.fit(each, Y, validation_data=(each, Y), shuffle=shuffle, **FIT)
        for t, each in zip(runs, (X, x), strict=True)
    ]
    assert_same_bits(*map(state, runs))
    assert without_seconds(histories[0]) == without_seconds(histories[1])
    np.testing.assert_array_equal(*(t.predict(each, batch_size=7)
                                    for t, each in zip(runs, (X, x), strict=True)))
    assert runs[1].evaluate(x, Y) == runs[0].evaluate(X, Y)
    model = runs[0].model
    np.testing.assert_array_equal(predict_mc(model, x, 3, rng=0).mean,
                                  predict_mc(model, X, 3, rng=0).mean)


def test_a_sparse_matrix_is_made_dense_a_batch_at_a_time(monkeypatch):
    sparse = pytest.importorskip("scipy.sparse")
    rows, dense = [], sparse.csr_array.toarray

    def watched(self, *args, **options):
        rows.append(self.shape[0])
        return dense(self, *args, **options)

    monkeypatch.setattr(sparse.csr_array, "toarray", watched)
    t = trainer()
    t.fit(sparse.csc_array(X), Y, **FIT)
    t.predict(sparse.csr_array(X), batch_size=5)
    assert max(rows) == 8


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_tables_that_are_no_numbers_name_the_columns(package):
    module = pytest.importorskip(package)
    table = module.DataFrame({"size": [1.0, 2.0], "town": ["a", "b"]})
    with pytest.raises(TypeError, match=r"x has columns that are no numbers, \{'town'.*encode"):
        trainer().fit(table, [0, 1], **FIT)
    with pytest.raises(TypeError, match="targets too.*DataFrame"):
        trainer().fit(table, **FIT)
    series = module.Series(Y[:2])
    trainer().fit(X[:2], series, **FIT)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ({"x": X, "y": Y}, "targets too.*dict"),
        ("x.csv", "targets too.*str"),
        (None, "targets too.*NoneType"),
        ([X, Y], "pair.*ndarray"),
        ([(X, Y, Y, Y, Y)], "pair.*tuple of 5"),
    ],
)
def test_samples_without_targets_are_refused(x, words):
    with pytest.raises(TypeError, match=words):
        trainer().fit(x, **FIT)


@pytest.mark.parametrize("x", [{"x": X}, "x.csv", {1.0, 2.0}])
def test_what_holds_no_rows_is_refused(x):
    for call in (lambda: trainer().fit(x, Y, **FIT), lambda: trainer().predict(x)):
        with pytest.raises(TypeError, match=f"x must be an array, not a {type(x).__name__}"):
            call()


def test_samples_of_several_shapes_are_refused():
    with pytest.raises(ValueError, match="x must have samples of one shape"):
        trainer().fit([[1.0, 2.0], [3.0]], [0, 1], **FIT)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ((X * 9).astype("uint8"), r"uint8.*x\.astype\('float32'\) / 255"),
        ((X * 9).astype("int64"), r"int64.*x\.astype\('float32'\)$"),
        (X > 0, "bool.*astype"),
        (X.astype(object), "object.*astype"),
    ],
    ids=["uint8", "int64", "bool", "object"],
)
def test_samples_of_other_dtypes_are_refused_with_what_mends_it(x, words):
    t = trainer()
    with pytest.raises(TypeError, match=words):
        t.fit(x, Y, **FIT)
    assert not t.model.parameters()
