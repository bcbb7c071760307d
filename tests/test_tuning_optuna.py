"""The search by Optuna: its trials and prunings, the same for any workers, stopped or not."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from training_cases import network

from cydropout.layers import Dense, Dropout, Sequential
from cydropout.tuning import Candidate, Sweep, tune_rate
from cydropout.tuning.runs import Task

pytest.importorskip("sklearn.model_selection")
X, Y = np.random.default_rng(0).standard_normal((60, 12), dtype="float32"), np.arange(60) % 3


def sweep(rates=(0.0, 0.9), model=None, **more):
    options = {"epochs": 1, "folds": 3, "search": "optuna", "trials": 14, "progress": False}
    return tune_rate(model or network(), "softmax_cross_entropy", "sgd", X, Y, rates,
                     **options | more)


@pytest.fixture
def optuna():
    return pytest.importorskip("optuna")


@pytest.fixture
def by_rate(monkeypatch, optuna):
    """Have the score of a run be what its rates say, the best at 0.3, and list the runs."""
    done = []

    def score(task, job):
        done.append(job)
        return 1 - sum(abs(rate - 0.3) for _, rate in job[0]) - job[1] / 100

    monkeypatch.setattr(Task, "score", score)
    return done


def on_threads(count, **more):
    with ThreadPoolExecutor(count) as executor:
        return sweep(executor=executor, **more)


def test_it_finds_the_best_rate_and_prunes(by_rate):
    found = on_threads(1, trials=30)
    assert len(found.candidates) == 30 and abs(found.best.rates["rate"] - 0.3) < 0.05
    pruned = [c for c in found.candidates if c.pruned]
    assert pruned and all(1 <= len(c.scores) < 3 for c in pruned)
    assert all(len(c.scores) == 3 for c in found.candidates if not c.pruned)
    assert len(by_rate) < 90
    assert found.table().count("| pruned |") == len(pruned)
    assert np.mean([c.mean for c in pruned]) < found.best.mean


def test_it_is_what_the_study_of_optuna_gives(by_rate, optuna):
    found = on_threads(1, trials=8, seeds=(3,))  # so many are open at a time
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=3), direction="maximize")
    space = {"rate": optuna.distributions.FloatDistribution(0.0, 0.9)}
    assert [c.rates for c in found.candidates] == [study.ask(space).params for _ in range(8)]


@pytest.mark.parametrize("workers", [2, 3, 20])
def test_the_number_of_workers_changes_nothing(by_rate, workers):
    assert on_threads(workers, seeds=(0, 7)) == on_threads(1, seeds=(0, 7))


def test_the_seed_decides(by_rate):
    one, other = on_threads(1), on_threads(1, seeds=(1,))
    assert one != other and on_threads(1) == one


def test_own_processes_search_alike(optuna):
    assert sweep(workers=2, trials=9) == on_threads(1, trials=9)


def test_a_stopped_search_goes_on_to_the_same_end(by_rate, tmp_path):
    record, whole = tmp_path / "sweep", on_threads(1)
    on_threads(2, record=record)
    lines = record.read_bytes().splitlines(keepends=True)
    for kept in (1, 5, 12, len(lines)):
        record.write_bytes(b"".join(lines[:kept]))
        by_rate.clear()
        assert on_threads(1, record=record) == whole
        assert kept < len(lines) or by_rate == []
        assert len({*by_rate}) == len(by_rate)
    assert on_threads(1, record=record, trials=20) == on_threads(1, trials=20)


@pytest.mark.parametrize(("change", "message"), [
    ({"rates": (0.0, 0.5)}, "another sweep: rates"), ({"seeds": (1,)}, "another sweep: seeds"),
    ({"search": "grid", "trials": None}, "another sweep: search is 'optuna' there and 'grid' here"),
])
def test_a_record_of_another_search_is_refused(by_rate, tmp_path, change, message):
    on_threads(1, record=tmp_path / "sweep")
    with pytest.raises(ValueError, match=message):
        sweep(record=tmp_path / "sweep", **change)


@pytest.mark.parametrize("entry", [
    '{"rates": {"rate": 0.95}, "fold": 0, "seed": 0, "score": 1}',
    '{"rates": {"rate": 0.5}, "fold": 3, "seed": 0, "score": 1}',
    '{"rates": {"rate": 0.5}, "fold": 0, "seed": 4, "score": 1}',
    '{"rates": {"other": 0.5}, "fold": 0, "seed": 0, "score": 1}',
])
def test_a_line_of_no_run_is_refused(by_rate, tmp_path, entry):
    record = tmp_path / "sweep"
    on_threads(1, record=record)
    record.write_bytes(record.read_bytes().splitlines()[0] + f"\n{entry}\n".encode())
    with pytest.raises(ValueError, match="line 2"):
        sweep(record=record)


def test_intervals_for_layers(by_rate):
    model = Sequential([Dropout(0.0), Dense(8), Dropout(0.5), Dense(3)])
    rates = {"0.dropout": (0.0, 0.2), "2.dropout": (0.4, 0.8)}
    for candidate in on_threads(1, rates=rates, model=model).candidates:
        assert 0 <= candidate.rates["0.dropout"] <= 0.2 and list(candidate.rates) == list(rates)
        assert 0.4 <= candidate.rates["2.dropout"] <= 0.8


@pytest.mark.parametrize(("change", "message"), [
    ({"rates": (0.5, 0.1)}, "interval.*low < high.*0.5"), ({"rates": [0.1, 0.2, 0.3]}, "interval"),
    ({"rates": (0.1, 1.5)}, "1.5"), ({"rates": 0.5}, "rates must be several"),
    ({"rates": {}}, "rates must be several"), ({"rates": {"7.dropout": (0.0, 0.5)}}, "7.dropout"),
    ({"trials": None}, "needs trials"), ({"trials": 0}, "trials.*0"), ({"search": "tpe"}, "tpe"),
    ({"search": "grid"}, "trials=14.*optuna"),
])
def test_errors(optuna, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        sweep(**{"record": tmp_path / "sweep", **change})
    assert list(tmp_path.iterdir()) == []


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"cydropout\[tune\]"):
        sweep()


def test_one_that_was_pruned_is_never_the_best():
    candidates = (Candidate({"rate": 0.1}, (0.8, 0.8)), Candidate({"rate": 0.2}, (0.9,), True))
    found = Sweep("accuracy", candidates)
    assert found.best is candidates[0] and found.near == candidates[:1]
    assert found.table().splitlines()[3].endswith("| pruned |")
