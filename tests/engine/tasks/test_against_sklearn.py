"""Metrics are those of scikit-learn, where it has them."""

import numpy as np
import pytest
import torch
from sklearn import metrics as known

from winnow.data.sample import Field
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.distributed.ranks import ALONE

GENERATOR = np.random.default_rng(5)


def computed(field: Field, prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    meter = build_tasks({"it": field}, ["it"])["it"].meter()
    for part in (slice(0, 13), slice(13, None)):
        meter.update(torch.from_numpy(prediction[part]), torch.from_numpy(target[part]))
    return meter.compute()


def test_labels_have_the_accuracy_f1_and_area_of_scikit_learn():
    classes, n = tuple("abcde"), 300
    scores = GENERATOR.normal(size=(n, 5)).astype(np.float32).round(1)  # with ties
    truth = (GENERATOR.random((n, 5)) < (0.02, 0.2, 0.5, 0.9, 0.4)).astype(np.int64)
    truth[GENERATOR.random((n, 5)) < 0.2] = -1
    found = computed(Field(kind="multilabel", classes=classes), scores, truth)
    columns = [(truth[truth[:, k] >= 0, k], scores[truth[:, k] >= 0, k]) for k in range(5)]
    assert found["accuracy"] == pytest.approx(100 * np.mean([known.accuracy_score(t, s > 0) for t, s in columns]))
    assert found["f1"] == pytest.approx(100 * np.mean([known.f1_score(t, s > 0) for t, s in columns]), abs=1e-6)
    assert found["auroc"] == pytest.approx(100 * np.mean([known.roc_auc_score(t, s) for t, s in columns]), abs=1e-6)


def test_numbers_have_the_errors_of_scikit_learn():
    names = ("yaw", "pitch", "roll")
    guess, truth = (GENERATOR.normal(3, 2, (80, 3)).astype(np.float32) for _ in range(2))
    found = computed(Field(kind="vector", classes=names, scale=2.0, unit="°"), guess, truth)
    assert found["mae"] == pytest.approx(known.mean_absolute_error(truth, 2 * guess), rel=1e-6)
    assert found["rmse"] == pytest.approx(known.mean_squared_error(truth, 2 * guess) ** 0.5, rel=1e-6)
    assert found["r2"] == pytest.approx(known.r2_score(truth, 2 * guess), rel=1e-6)


def test_classes_have_the_metrics_of_scikit_learn():
    logits, truth = GENERATOR.normal(size=(200, 4)).astype(np.float32), GENERATOR.integers(0, 4, 200)
    found = computed(Field(kind="classification", classes=tuple("abcd")), logits, truth)
    guess = logits.argmax(1)
    assert found["accuracy"] == pytest.approx(100 * known.accuracy_score(truth, guess))
    assert found["balanced_accuracy"] == pytest.approx(100 * known.balanced_accuracy_score(truth, guess))


def test_depth_has_the_errors_of_eigen():
    guess, truth = (GENERATOR.uniform(0.5, 9, (20, 4, 4)).astype(np.float32) for _ in range(2))
    found = computed(Field(kind="depth", unit="m"), guess[:, None], truth)
    ratio = np.maximum(guess / truth, truth / guess).astype(np.float64)
    for k in (1, 2, 3):
        assert found[f"delta_{k}"] == pytest.approx(100 * (ratio < 1.25**k).mean(), abs=1e-6)
    logs = known.root_mean_squared_log_error(truth.ravel() - 1.0, guess.ravel() - 1.0) if truth.min() > 1 else None
    expected = np.sqrt(np.mean((np.log(guess.astype(float)) - np.log(truth.astype(float))) ** 2))
    assert found["log_rmse"] == pytest.approx(expected, rel=1e-6)
    assert logs is None or found["log_rmse"] == pytest.approx(logs, rel=1e-5)


def test_weighted_classes_have_the_loss_of_torch():
    logits, truth = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), torch.randint(0, 3, (40,))
    weights = (0.2, 1.0, 4.0)
    task = build_tasks({"it": Field(kind="classification", classes=tuple("abc"), weights=weights)}, ["it"])["it"]
    expected = torch.nn.functional.cross_entropy(logits, truth, torch.tensor(weights))
    torch.testing.assert_close(task.loss(logits, truth), expected)
    labels = torch.randint(0, 2, (40, 3))
    task = build_tasks({"it": Field(kind="multilabel", classes=tuple("abc"), weights=weights)}, ["it"])["it"]
    entropy = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weights))
    torch.testing.assert_close(task.loss(logits, labels), entropy(logits, labels.float()))


def test_rows_of_one_process_are_its_own():
    rows = torch.arange(6).reshape(3, 2)
    assert torch.equal(ALONE.rows(rows), rows)
