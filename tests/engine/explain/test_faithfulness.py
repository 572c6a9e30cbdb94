"""The figures say yes to what is true and no to what is not."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from tests.engine.small_nets import batches, small_net
from winnow.engine.explain.checks.affinity import effect_correlations, gradient_cosines, task_affinity
from winnow.engine.explain.checks.agreement import agreement, sample, spearman, split_half, survivors
from winnow.engine.explain.checks.badges import COLUMNS, badge, median
from winnow.engine.explain.checks.deletion import curve_points, deletion_figures, orders
from winnow.engine.explain.checks.randomising import shuffled, stages
from winnow.engine.explain.checks.structural import structural_use
from winnow.engine.explain.faithfulness import Checks, faithfulness
from winnow.engine.explain.relevance.probe import probe
from winnow.engine.explain.relevance.relevance import relevance
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.graph.trace import trace


def known(cells: int = 12) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return relevances of two tasks and ablations that agree with them exactly."""
    chance = np.random.default_rng(0)
    rows = [
        (task, "l", channel, value, value, value, value, value, channel > 0)
        for task in ("a", "b")
        for channel, value in enumerate(np.concatenate([[0], chance.random(cells - 1)]))
    ]
    names = ["task", "layer", "channel", "relevance", "low", "high", "even", "odd", "alive"]
    relevant = pd.DataFrame(rows, columns=names)
    ablated = relevant[["task", "layer", "channel"]].assign(
        effect=3 * relevant["relevance"] ** 2, loss_change=-relevant["relevance"], group=""
    )
    return relevant, ablated


def figure(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[(frame["figure"] == name) & (frame["layer"] != "")].set_index("task")["value"]


def test_agreement_is_about_order_and_survivors():
    relevant, ablated = known()
    found = agreement(relevant, ablated)
    assert figure(found, "rank_correlation").tolist() == pytest.approx([1, 1])
    assert figure(found, "rise_correlation").tolist() == pytest.approx([-1, -1])
    assert figure(found, "sample").tolist() == [11, 11]
    assert figure(split_half(relevant), "split_half").tolist() == pytest.approx([1, 1])


def test_dead_channels_make_no_nonsense_agree():
    relevant, ablated = known(8)
    dead = [relevant.assign(channel=relevant["channel"] + 10 * k, alive=False) for k in range(1, 20)]
    zeros = pd.concat(dead).assign(relevance=0.0, low=0.0, high=0.0)
    wrong = relevant.assign(relevance=1 / (0.1 + relevant["relevance"]))
    none = zeros[["task", "layer", "channel"]].assign(effect=0.0, loss_change=0.0, group="")
    found = agreement(pd.concat([wrong, zeros]), pd.concat([ablated, none]))
    assert (figure(found, "rank_correlation") < 0).all()


def test_the_sample_takes_survivors_of_every_rank():
    relevant, _ = known(33)
    chosen = sample(relevant, 8, 0)
    assert len(chosen) == 8
    assert 0 not in chosen["channel"].tolist()
    ranks = survivors(relevant)["total"].rank()
    picked = ranks[survivors(relevant)["channel"].isin(chosen["channel"])]
    assert sorted((picked - 1).astype(int) // 4) == list(range(8))
    assert len(sample(relevant, 0, 0)) == 0


def test_deletion_orders_and_areas():
    relevant, _ = known(13)
    found = orders(relevant, 0, draws=2)
    assert [order.name for order in found] == ["relevance:a", "relevance:b", "random:0", "random:1"]
    best = found[0].deletions()
    assert [len(deletion.channels) for deletion in best] == [1, 3, 6, 9]
    assert best[0].channels[0] == relevant.query("task == 'a'").set_index("channel")["relevance"].idxmax()
    rows = [
        ("l", deletion.group, len(deletion.channels), task, 1.0, rise, rise)
        for order, slope in ((found[0], 2.0), (found[1], 2.0), (found[2], 1.0), (found[3], 0.0))
        for task in ("a", "b")
        for deletion in order.deletions()
        for rise in [slope * len(deletion.channels) / 12]
    ]
    names = ["layer", "group", "channels", "task", "loss", "loss_change", "effect"]
    points = curve_points(pd.DataFrame(rows, columns=names))
    assert points.groupby(["task", "order", "draw"]).size().eq(5).all()
    areas = figure(deletion_figures(points), "deletion_auc")
    assert areas.tolist() == pytest.approx([0.75, 0.75])
    assert figure(deletion_figures(points), "deletion_random").tolist() == pytest.approx([0.1875, 0.1875])
    assert len(curve_points(pd.DataFrame(columns=names).astype({"group": object}))) == 0


def test_shuffling_keeps_zeros_and_norms_and_is_undone():
    net = small_net()
    with torch.no_grad():
        net.trunk[1].inner[2].weight[:, 1] = 0
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    named = dict(stages(probe(net, batches(1))))
    assert list(named) == ["head_randomisation", "cascade_1", "cascade_2", "cascade_3", "cascade_4"]
    assert len(named["head_randomisation"]) == 2
    assert len(named["cascade_4"]) == 5
    with shuffled(named["cascade_4"], 0):
        weight, old = net.trunk[1].inner[2].weight, before["trunk.1.inner.2.weight"]
        assert not torch.equal(weight, old)
        assert torch.equal(weight == 0, old == 0)
        torch.testing.assert_close(weight.flatten().sort().values, old.flatten().sort().values)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_faithfulness_of_a_real_network_and_its_badge():
    net, given, settings = small_net(), batches(2, 4), Settings(bootstrap=10)
    found = faithfulness(net, given, relevance(net, given, settings=settings), settings=settings)
    assert list(found.columns) == COLUMNS
    assert {"", "trunk", "trunk.0.0"} <= set(found["layer"])
    wanted = {"rank_correlation", "share_correlation", "deletion_auc", "split_half", "head_randomisation", "cascade_4"}
    assert wanted <= set(found["figure"])
    assert found["images"].eq(8).all()
    assert median(found, "rank_correlation") > 0.5
    colour, text = badge(found)
    assert colour != "grey"
    assert text.startswith("taylor, 8 images, rank correlation with ablation")
    nothing = faithfulness(
        net, given, relevance(net, given), settings=settings, checks=Checks(channels=0, randomisation=False)
    )
    assert badge(nothing)[0] == "grey"


@pytest.mark.parametrize(
    ("rank", "share", "heads", "random", "colour"),
    [
        (0.9, 0.8, 0.0, 0.1, "green"),
        (0.9, 0.5, 0.0, 0.1, "amber"),
        (0.9, 0.8, 0.5, 0.1, "amber"),
        (0.9, 0.8, 0.0, 2.0, "amber"),
        (0.3, 0.8, 0.0, 0.1, "red"),
    ],
)
def test_the_badge_follows_its_rules(rank: float, share: float, heads: float, random: float, colour: str):
    values = {
        "rank_correlation": rank,
        "share_correlation": share,
        "head_randomisation": heads,
        "deletion_auc": 1.0,
        "deletion_random": random,
    }
    rows = [("l", "a", name, value, "taylor", 64) for name, value in values.items()]
    assert badge(pd.DataFrame(rows, columns=COLUMNS))[0] == colour


@pytest.mark.parametrize(("curves", "colour"), [(19, "amber"), (20, "green")])
def test_one_lost_curve_of_twenty_is_named_and_costs_no_colour(curves: int, colour: str):
    held = {"rank_correlation": 0.9, "deletion_auc": 1.0, "deletion_random": 0.5}
    rows = [(f"l{place}", "a", name, held[name], "taylor", 64) for place in range(curves) for name in held]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame.loc[(frame["layer"] == "l0") & (frame["figure"] == "deletion_random"), "value"] = 2.0
    assert badge(frame) == (
        colour,
        "taylor, 64 images, rank correlation with ablation 0.90; "
        f"deletion by relevance does no more harm than random deletion in 1 of {curves} curves",
    )


def test_rank_correlation():
    assert spearman([1, 2, 3], [10, 20, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, np.nan]) == pytest.approx(-1)
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert np.isnan(spearman([1, 2], [1, 2]))


@given(arrays(float, (12, 2), elements=st.integers(0, 5)))
def test_rank_correlation_is_that_of_scipy(pairs: np.ndarray):
    assume(np.ptp(pairs, axis=0).all())
    assert spearman(*pairs.T) == pytest.approx(spearmanr(*pairs.T).statistic, abs=1e-12)


def test_gradient_cosines_take_back_what_passes_store():
    net, given, stored = small_net(), batches(2), list[object]()
    net.trunk.kept = stored
    net.trunk.register_forward_hook(lambda module, inputs, output: module.kept.append(output))
    asked = probe(net, given)
    assert len(gradient_cosines(asked)) > 0
    assert stored == []


def test_gradient_cosines_are_those_of_the_weights():
    net, given = small_net(), batches(1)
    found = gradient_cosines(probe(net, given)).set_index("layer")
    weight = net.trunk[1].inner[0].weight
    asked, rows = probe(net, given), []
    for name, objective in asked.objectives.items():
        net.zero_grad()
        objective.value(net(given[0].images)[name], given[0].targets[name]).mean().backward()
        rows.append(weight.grad.flatten().clone())  # type: ignore[union-attr]
    expected = torch.nn.functional.cosine_similarity(rows[0], rows[1], dim=0)
    assert found.loc["trunk.1.inner.0", "cosine"] == pytest.approx(float(expected), abs=1e-4)
    assert found.loc["trunk.1.inner.0", "conflict_rate"] == float(expected < 0)
    assert "trunk" not in found.index


def test_transfer_compares_what_ablation_does_to_two_tasks():
    _, ablated = known()
    same = ablated.assign(effect=ablated["channel"] ** 2)
    assert effect_correlations(same)["transfer"].tolist() == pytest.approx([1])
    against = same.assign(effect=same["effect"].where(same["task"] == "a", -same["effect"]))
    assert effect_correlations(against)["transfer"].tolist() == pytest.approx([-1])
    assert "transfer" in task_affinity(probe(small_net(), batches(1)), ablated).columns


def test_structural_use_names_exact_zeros_in_the_heads():
    net = small_net()
    with torch.no_grad():
        net.heads["map"].weight[:, 2] = 0
    found = structural_use(trace(net, batches(1)[0].images))
    own = found[found["task"] == "map"]
    assert own["layer"].unique().tolist() == ["heads.map"]
    assert own["zero"].tolist() == [False, False, True, False]
    assert found.query("task == 'number'")["zero"].eq(False).all()
