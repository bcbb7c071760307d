"""The sweep of rates: its scores, its record, and what it recommends."""

import json
import math
import os

import numpy as np
import pytest
from training_cases import CLASSES, SAMPLES, Meeting, OneThread, drawn, network, trainer

from cydropout import Trainer, tuning
from cydropout.layers import GRU, Dense, Dropout, Sequential
from cydropout.tuning import Candidate, Sweep, tune_rate

sklearn = pytest.importorskip("sklearn.model_selection")
OPTIONS = {"epochs": 2, "folds": 3, "seeds": (0, 5), "progress": False}
RATES = [0.0, 0.5, 1.0]


def sweep(
    data, rates=RATES, model=None, loss="softmax_cross_entropy", optimizer="adam", **more
):
    return tune_rate(model or network(), loss, optimizer, *data, rates, **OPTIONS | more)


@pytest.fixture
def here(monkeypatch):
    """Run in this process, and write down which jobs were run."""
    run = []

    def _run(task, jobs, workers, done):
        for job in jobs:
            run.append(job)
            done(job, task.score(job))

    monkeypatch.setattr(tuning.sweep, "run_jobs", _run)
    return run


def by_hand(data, rate, fold, seed):
    split = sklearn.StratifiedKFold(3, shuffle=True, random_state=0).split(*data)
    train, held = list(split)[fold]
    rng = np.random.SeedSequence(seed, spawn_key=(fold,))
    t = Trainer(network(rate), "softmax_cross_entropy", "adam", rng=rng)
    t.fit(data[0][train], data[1][train], epochs=2, progress=False)
    return t.evaluate(data[0][held], data[1][held])["accuracy"]


def test_the_scores_are_those_of_the_runs_in_parallel_processes(data, tmp_path):
    record = tmp_path / "sweep.jsonl"
    found = sweep(data, workers=2, record=record)
    assert [c.rates for c in found.candidates] == [{"rate": rate} for rate in RATES]
    for candidate in found.candidates:
        hand = [by_hand(data, candidate.rates["rate"], f, s) for f in range(3) for s in (0, 5)]
        assert candidate.scores == pytest.approx(hand, abs=1e-12)
        assert candidate.mean == pytest.approx(np.mean(hand))
        assert candidate.spread == pytest.approx(np.std(hand, ddof=1))
        assert candidate.error == pytest.approx(candidate.spread / math.sqrt(6))
    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 1 + 18 and lines[0]["rates"] == [{"rate": rate} for rate in RATES]
    assert found.best.rates["rate"] != 1.0


def test_as_many_runs_as_workers_go_on_at_the_same_time(data, tmp_path):
    found = tune_rate(
        network(), "softmax_cross_entropy", Meeting(tmp_path), *data, [0.5],
        epochs=1, folds=2, workers=2, progress=False,
    )
    assert len(found.candidates[0].scores) == 2
    assert str(os.getpid()) not in {path.name for path in tmp_path.iterdir()}


def test_the_workers_have_one_thread(data, tmp_path):
    found = sweep(data, rates=[0.5], workers=1, record=tmp_path / "sweep", optimizer=OneThread())
    assert len(found.best.scores) == 6


def test_a_stopped_sweep_goes_on_where_it_was(data, tmp_path, monkeypatch, here):
    record = tmp_path / "sweep.jsonl"
    whole = sweep(data)
    jobs = list(here)
    here.clear()
    plain = tuning.sweep.run_jobs

    def stops(task, jobs, workers, done):
        plain(task, jobs[:7], workers, done)
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning.sweep, "run_jobs", stops)
    with pytest.raises(KeyboardInterrupt):
        sweep(data, record=record)
    monkeypatch.setattr(tuning.sweep, "run_jobs", plain)
    with record.open("a", encoding="utf-8") as file:
        file.write('{"rates": {"ra')  # killed while it wrote
    here.clear()
    again = sweep(data, record=record)
    assert here == jobs[7:] and again == whole
    here.clear()
    assert sweep(data, record=record) == whole and here == []


@pytest.mark.parametrize(
    "change", [{"epochs": 3}, {"seeds": (1,)}, {"rates": [0.1]}, {"metric": "loss"}, {"folds": 4}]
)
def test_a_record_of_another_sweep_is_refused(data, tmp_path, here, change):
    record = tmp_path / "sweep.jsonl"
    sweep(data, record=record)
    before = record.read_bytes()
    with pytest.raises(ValueError, match="another sweep"):
        sweep(data, record=record, **change)
    other = data[0].copy()
    other[0, 0] += 1
    with pytest.raises(ValueError, match="another sweep"):
        sweep((other, data[1]), record=record)
    assert record.read_bytes() == before
    record.write_bytes(b"not json\n")
    with pytest.raises(ValueError, match="no record of a sweep"):
        sweep(data, record=record)


def test_rates_per_layer_are_combined(data, here):
    model = Sequential([Dropout(0.0), Dense(8), Dropout(0.5), Dense(CLASSES)])
    grid = {"0.dropout": [0.0, 0.2], "2.dropout": [0.1, 0.3, 0.5]}
    found = sweep(data, grid, model, seeds=(0,), metric="loss")
    rates = [(c.rates["0.dropout"], c.rates["2.dropout"]) for c in found.candidates]
    assert rates == [(a, b) for a in (0.0, 0.2) for b in (0.1, 0.3, 0.5)]
    assert len({c.scores for c in found.candidates}) == 6
    assert model.layers[2].rate == 0.5 and not model.parameters()


def test_the_metric_follows_the_loss(data, here, tmp_path):
    assert sweep(data, rates=[0.5]).metric == "accuracy"
    regression = data[0], np.eye(CLASSES)[data[1]]
    found = sweep(regression, loss="mean_squared_error")
    assert found.metric == "loss" and found.best.mean == min(c.mean for c in found.candidates)
    here.clear()
    with pytest.raises(ValueError, match="'accuracy' is not measured by MeanSquaredError.*loss"):
        sweep(regression, loss="mean_squared_error", metric="accuracy", record=tmp_path / "sweep")
    assert here == [] and list(tmp_path.iterdir()) == []


def test_a_sparse_matrix_is_swept_like_its_dense_rows(data, here):
    sparse = pytest.importorskip("scipy.sparse").csr_array(data[0])
    assert sweep((sparse, data[1])).candidates == sweep(data).candidates


def test_targets_that_do_not_fit_are_found_before_the_first_run(data, here):
    with pytest.raises(ValueError, match="9"):
        sweep((data[0], data[1] + 9))
    assert here == []


def candidates():
    return tuple(
        Candidate({"a": a, "b": 0.5}, scores)
        for a, scores in [(0.1, (0.7, 0.72)), (0.3, (0.9, 0.94)), (0.5, (0.9, 0.92))]
    )


def test_the_best_rate_has_the_best_mean_and_others_are_near_it():
    found = Sweep("accuracy", candidates())
    assert found.best.rates == {"a": 0.3, "b": 0.5}
    assert [c.rates["a"] for c in found.near] == [0.3, 0.5]
    assert Sweep("loss", candidates()).best.rates["a"] == 0.1
    assert str(found) == found.table()
    lines = found.table().splitlines()
    assert len(lines) == 5 and lines[0] == "| a | b | accuracy | spread | |"
    assert lines[3].endswith("| 0.9200 | 0.0283 | best |") and lines[4].endswith("near |")
    assert Candidate({"a": 0.1}, (0.5,)).spread == 0.0


def test_the_plot(tmp_path, monkeypatch):
    figures = drawn(monkeypatch, tuning.results)
    Sweep("accuracy", candidates()).plot(tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    (a, b), scores = figures[0], [s for one in candidates() for s in one.scores]
    assert (a.get_xlabel(), b.get_xlabel(), b.get_ylabel()) == ("a", "b", "accuracy")
    for panel, best in ((a, 0.3), (b, 0.5)):
        dots = [line for line in panel.get_lines() if line.get_marker() == "."]
        assert [y for line in dots for y in line.get_ydata()] == scores
        lines = {line.get_label(): line for line in panel.get_lines()}
        assert [*lines[f"best: {best}"].get_xdata()] == [best, best]
    means, _, (spreads,) = a.containers[0]
    assert [*means.get_xdata()] == [0.1, 0.3, 0.5]
    assert [*means.get_ydata()] == pytest.approx([0.71, 0.92, 0.91])
    for segment, one in zip(spreads.get_segments(), candidates(), strict=True):
        low, high = segment[:, 1]
        assert (low, high) == pytest.approx((one.mean - one.spread, one.mean + one.spread))


def test_the_bar_counts_the_runs(data, here, capsys):
    sweep(data, progress="rates")
    shown = capsys.readouterr().err
    assert "rates" in shown and "18/18" in shown and "runs" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": [0.5, 1.5]}, "1.5"),
        ({"rates": []}, "at least one"),
        ({"rates": [0.5, 0.5]}, "different"),
        ({"rates": {"7.dropout": [0.5]}}, "7.dropout"),
        ({"folds": 1}, "folds.*1"),
        ({"folds": SAMPLES + 1}, "folds"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"metric": "speed"}, "speed"),
        ({"workers": 0}, "workers.*0"),
        ({"epochs": 0}, "epochs.*0"),
        ({"folds": []}, "folds"),
        ({"folds": [([0, 1], [SAMPLES])]}, "fold 0 of folds"),
        ({"folds": [([0, 1], [])]}, "fold 0 of folds"),
        ({"folds": sklearn.StratifiedKFold(SAMPLES)}, "n_splits"),
        ({"lengths": [1]}, "lengths"),
        ({"model": Sequential([Dense(3)])}, "no layer with a rate"),
        ({"model": print}, "model must be a Layer, not"),
        ({"model": [Dense(3), Dropout(0.5)]}, "model must be a Layer.*Sequential"),
    ],
)
def test_errors(data, here, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        sweep(data, **{"record": tmp_path / "sweep", **change})
    assert here == [] and list(tmp_path.iterdir()) == []


def test_padding_moves_no_score_of_a_sweep(here, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((18, 5, 3)).astype("f4")
    y, lengths = rng.integers(0, CLASSES, 18), rng.integers(1, 6, 18)
    other = np.where(np.arange(5)[:, None] < lengths[:, None, None], x, np.float32(7))

    def scores(x, **more):
        model = Sequential([GRU(4, return_sequences=False), Dropout(0.5), Dense(CLASSES)])
        return sweep((x, y), model=model, rates=[0.5], metric="loss", **more).best.scores

    assert scores(x, lengths=lengths) == scores(other, lengths=lengths) != scores(x)
    scores(x, record=tmp_path / "sweep", lengths=lengths)
    with pytest.raises(ValueError, match="another sweep"):
        scores(x, record=tmp_path / "sweep", lengths=np.full(18, 5))


@pytest.mark.parametrize("rows", [False, True])
def test_a_splitter_is_as_good_as_a_number(data, here, rows, tmp_path):
    record = tmp_path / "sweep"
    scores = [c.scores for c in sweep(data, record=record).candidates]
    count = len(here)
    splitter = sklearn.StratifiedKFold(3, shuffle=True, random_state=0)
    found = sweep(data, folds=list(splitter.split(*data)) if rows else splitter, record=record)
    assert [c.scores for c in found.candidates] == scores
    assert len(here) == count  # the same folds, and so the record holds all


@pytest.mark.parametrize(("y", "kind"), [
    (np.repeat([0, 1], [45, 15]), sklearn.StratifiedKFold),
    (np.repeat([0, 1], [58, 2]), sklearn.KFold), (np.linspace(0, 1, 60), sklearn.KFold),
    (np.eye(3)[np.arange(60) % 3], sklearn.KFold),
])
def test_labels_are_stratified_where_they_can_be(y, kind):
    expected = kind(3, shuffle=True, random_state=0).split(y, y if y.ndim == 1 else None)
    found = tuning.sweep._split(3, y, y)
    for one, other in zip(found, expected, strict=True):
        for rows, wanted in zip(one, other, strict=True):
            np.testing.assert_array_equal(rows, wanted)


def test_other_folds_are_another_sweep(data, here, tmp_path):
    groups = np.arange(SAMPLES) % 4
    found = sweep(data, folds=sklearn.GroupKFold(4).split(*data, groups), record=tmp_path / "s")
    assert all(len(c.scores) == 4 * 2 for c in found.candidates)
    with pytest.raises(ValueError, match="another sweep.*folds"):
        sweep(data, folds=sklearn.StratifiedKFold(4), record=tmp_path / "s")


def test_a_built_model_is_refused(data, here):
    t = trainer()
    t.evaluate(*data)
    with pytest.raises(ValueError, match="not built"):
        sweep(data, model=t.model)
