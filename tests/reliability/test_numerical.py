"""Numbers at their extremes and beyond: a run ends with numbers, or one sentence says where and what.

A target that cannot be met is said before the run and at its end, with both numbers.
"""

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reliability.killing import BASE
from winnow.data.digits import Digits
from winnow.data.sample import Sample
from winnow.engine.jobs import worker
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.events import read_events
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.train import parse

SMALL = {**BASE, "batch_size": 128, "epochs": 2, "penalty": {"strength": 1e-3}}
INF, NAN = math.inf, math.nan
Case = tuple[dict[str, Any], str, str]  # what is asked, how it ends, what is said


def penalty(**values: Any) -> dict[str, Any]:
    return {"penalty": values}


def optimiser(**values: Any) -> dict[str, Any]:
    return {"optimiser": values}


QUICK: dict[str, Case] = {
    "λ 1e308": (penalty(strength=1e308), "failed", "λ_max is 0.0"),
    "99.9 % with a floor": (penalty(target=99.9), "done", "not met: 82.4 of 99.9 % of the groups are zero"),
    "no refit": (penalty(target=50, refit=0), "done", "not met: "),
    "λ in λ_max": (penalty(strength=1e308, strength_of="max"), "refused", "`strength` must be at most 1000"),
    "rate 1e308": (optimiser(learning_rate=1e308), "refused", "`learning_rate` must be less than"),
    "rate 1e6": (optimiser(optimiser="sgd", learning_rate=1e6), "failed", " at epoch 1, step "),
}
STUDY: dict[str, Case] = {
    **{f"λ {value:g}": (penalty(strength=value), "refused", "`strength`") for value in (NAN, INF, -1.0)},
    **{f"λ {value:g}": (penalty(strength=value), "done", "") for value in (0.0, 1e-308, 1e-38, 1.0, 1e3)},
    **{
        f"{kind} λ {value:g}": (penalty(penalty=kind, strength=value), "failed", "λ_max is ")
        for kind in ("sparse_group_lasso", "group_mcp", "l1")
        for value in (1e38, 1e308)
    },
    "λ changes to 1e308": ({"strength_changes": [{"step": 3, "strength": 1e308}]}, "failed", "λ_max is "),
    **{
        f"rate {value:g}": (optimiser(learning_rate=value), "refused", "`learning_rate`")
        for value in (NAN, INF, 0.0, -1.0, 1e31)
    },
    "rate 1e6 adamw": (optimiser(learning_rate=1e6), "failed|done", ""),
    "rate 1e-300": (optimiser(learning_rate=1e-300), "done", ""),
    "momentum 0.999": (optimiser(optimiser="sgd", momentum=0.999, learning_rate=0.1), "failed|done", ""),
    "momentum 1": (optimiser(optimiser="sgd", momentum=1.0), "refused", "`momentum`"),
    "decay 1e6": (optimiser(weight_decay=1e6), "failed", " at epoch 1, step "),
    "decay 1e308": (optimiser(weight_decay=1e308), "refused", "`weight_decay`"),
    "target 0.01": (penalty(target=0.01), "done", ""),
    "target 99.9, no floor": (penalty(target=99.9, floor=0), "done", ""),
    "target 99.9 of MACs": (penalty(target=99.9, target_of="mac"), "done", "not met: "),
    "target 99.9 of parameters": (penalty(target=99.9, target_of="parameter"), "done", "not met: "),
    "coupled, no floor": (penalty(target=99.9, floor=0, groups="coupled", removal=1), "done", ""),
    "floor 1": (penalty(target=50, floor=1), "done", "not met: 0.0 of 50 %"),
    "target 100": (penalty(target=100), "refused", "`target`"),
    "one epoch": ({**penalty(target=50), "epochs": 1}, "done", ""),
    "refit 0.99": (penalty(target=50, refit=0.99), "done", ""),
    "warm-up beyond the run": (penalty(target=50, warm_up=10), "done", ""),
    "ramp beyond the run": (penalty(ramp=100), "done", ""),
    "batch 1": ({"batch_size": 1}, "refused", "`batch_size`"),
    "batch of all": ({"batch_size": 1257}, "done", ""),
    "batch beyond the data": ({"batch_size": 5000}, "refused", "`batch_size` must be at most 1258"),
    "width 1": ({"network": {"widths": (1,), "blocks": (1,), "head_width": 1}}, "done", ""),
    "eight stages": ({"network": {"widths": (2,) * 8, "blocks": (1,) * 8, "head_width": 1}}, "done", ""),
    "all dies": (penalty(strength=10.0, floor=0, groups="coupled", removal=1), "done", ""),
    "heads die": (penalty(strength=10.0, floor=0, scope="both"), "done", ""),
    "bf16": ({"bf16": True}, "done", ""),
    "seed": ({"seed": 2**63 - 1}, "done", ""),
    "a weight of 1e308": (
        {"balancing": {"balancing": "static", "task_weights": {"digit": 1e308, "parity": 1, "ink": 1}}},
        "refused",
        "must be less than or equal to 1000000",
    ),
    "a weight of 1e6": (
        {"balancing": {"balancing": "static", "task_weights": {"digit": 1e6, "parity": 1, "ink": 1}}},
        "failed|done",
        "",
    ),
}


def ended(values: Mapping[str, Any], root: Path) -> tuple[str, str, Run | None]:
    """Return how a run ends, and what is said."""
    try:
        run = create(parse({**SMALL, **values, "name": "extreme"}), root)
    except SpecError as error:
        return "refused", str(error), None
    worker.main([str(run.path)])
    return run.status.state, run.status.message, run


def problems(case: Case, root: Path) -> list[str]:
    """Return what is wrong with how a case ends: the state, the sentence, a number that is none."""
    values, expected, words = case
    state, message, run = ended(values, root)
    wrong = [] if state in expected.split("|") else [f"{state}: {message}"]
    wrong += [] if words in message and "\n" not in message and "Error" not in message else [f"it says {message!r}"]
    if run is not None:
        events = read_events(run.path / "events.jsonl")
        nulls = events[events["value"].isna() & (events["split"] != "control")]
        wrong += [f"null {row.split} {row.quantity}" for row in nulls.itertuples()]
        rows = run.norms.rows()["norm"]
        wrong += [] if np.isfinite(rows).all() else ["norms that are no numbers"]
    return wrong


@pytest.mark.parametrize("name", QUICK)
def test_an_extreme_number_ends_in_numbers_or_in_a_sentence(runs_root: Path, worker_settings, name: str):
    with worker_settings():
        assert problems(QUICK[name], runs_root) == []


@pytest.mark.study
def test_every_extreme_ends_in_numbers_or_in_a_sentence(runs_root: Path, worker_settings):
    cases = {**QUICK, **STUDY}
    with worker_settings():
        found = {name: wrong for name, case in cases.items() if (wrong := problems(case, runs_root))}
    sys.stdout.write(f"\n{len(cases)} extremes: {len(found)} without a sentence or with a number that is none\n")
    assert found == {}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (penalty(target=99.9), "the target of 99.9 % cannot be met: with a floor of 0.05 at most 82.4 % of the groups"),
        (penalty(target=50, refit=0), "without a refit, the share at the end may differ"),
        (penalty(target=50, warm_up=19), "the penalty acts for only 0 steps"),
        (penalty(target=50), ""),
        (penalty(strength=1e-3), ""),
    ],
)
def test_a_target_that_cannot_be_met_is_said_before_the_first_step(
    runs_root: Path, worker_settings, monkeypatch, asked: dict[str, Any], said: str
):
    told: list[str] = []
    status = ResultWriter.status

    def noted(self: ResultWriter, **changes: object) -> None:
        told.extend(str(changes["message"]) for _ in [0] if changes.get("message"))
        status(self, **changes)

    monkeypatch.setattr(ResultWriter, "status", noted)
    monkeypatch.setattr("winnow.engine.jobs.session.TrainingSession.train", lambda *_: "stopped")
    with worker_settings():
        ended({**asked, "epochs": 20}, runs_root)
    assert (said in told[0]) if said else (told == [])


def same(image: np.ndarray, targets: dict[str, Any]) -> Sample:
    return Sample(image, {**targets, "ink": np.zeros_like(targets["ink"])})


def black(image: np.ndarray, targets: dict[str, Any]) -> Sample:
    return Sample(np.zeros_like(image), targets)


def missing(image: np.ndarray, targets: dict[str, Any]) -> Sample:
    return Sample(image, {**targets, "ink": np.full_like(targets["ink"], np.nan)})


def invalid(image: np.ndarray, targets: dict[str, Any]) -> Sample:
    return Sample(image, {**targets, "digit": np.full_like(targets["digit"], -1)})


def beyond(image: np.ndarray, targets: dict[str, Any]) -> Sample:
    return Sample(image, {**targets, "digit": np.full_like(targets["digit"], 10)})


def endless(image: np.ndarray, targets: dict[str, Any]) -> Sample:
    return Sample(image, {**targets, "ink": np.full_like(targets["ink"], np.inf)})


def no_numbers(image: np.ndarray, targets: dict[str, Any]) -> Sample:
    return Sample(np.full(image.shape, np.nan, np.float32), targets)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (same, "`ink` is the same in all training images"),
        (black, "all training images are one colour"),
        (missing, "must have labels in the training images, got none of ink"),
        (invalid, "must have labels in the training images, got none of digit"),
        (beyond, "`digit` must be integers from -1 to 9, got 10"),
        (endless, "`ink` must be finite, or NaN where it is missing, got inf"),
        (no_numbers, "`image` must be finite and in [0, 1], got nan"),
    ],
)
def test_data_without_a_signal_is_named(
    runs_root: Path, worker_settings, monkeypatch, change: Callable[..., Sample], said: str
):
    real = Digits.sample
    monkeypatch.setattr(Digits, "sample", lambda self, index: change(*vars(real(self, index)).values()))
    told: list[str] = []
    status = ResultWriter.status

    def noted(self: ResultWriter, **changes: object) -> None:
        told.append(str(changes.get("message", "")))
        status(self, **changes)

    monkeypatch.setattr(ResultWriter, "status", noted)
    monkeypatch.setattr("winnow.engine.jobs.session.TrainingSession.train", lambda *_: "stopped")
    with worker_settings():
        ended({}, runs_root)
    assert any(said in sentence for sentence in told), [sentence for sentence in told if sentence]


def test_a_live_strength_beyond_all_numbers_is_refused(runs_root: Path):
    run = create(parse({**SMALL, "name": "live"}))
    for value in (1e308, 1e7, NAN, -1.0, INF):
        with pytest.raises(ValueError, match="`strength` must be"):
            run.ask(strength=value)
    assert run.control().strength is None
