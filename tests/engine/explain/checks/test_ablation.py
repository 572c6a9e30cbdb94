"""Ablation does to the model what it says, from the layer on, to the bit, and goes on where it was left."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.engine.small_nets import batches, small_net
from winnow.data.catalog import load
from winnow.data.stacking import stack
from winnow.engine.explain.checks.ablation import BLOCK, COLUMNS, Deletion, ablations
from winnow.engine.explain.checks.suffix import suffix_of
from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.means import channel_means
from winnow.engine.explain.relevance.probe import Probe, probe
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.explain.relevance.sites import Site
from winnow.engine.networks.multitask import MultiTaskNet, build_network
from winnow.engine.specs.network import ResidualSpec
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.batches import Batches


def digits(settings: Settings | None = None) -> tuple[MultiTaskNet, Probe]:
    data = load("digits", split="val")
    tasks = build_tasks(data.fields, tuple(data.fields)[:3])
    torch.manual_seed(0)
    net = build_network(ResidualSpec(widths=(6, 8), blocks=(1, 1), head_width=6), tasks, 1)
    given = Batches(stack(data, tuple(tasks)), tasks, 32, torch.device("cpu"))
    net(given.example().expand(8, -1, -1, -1) + torch.randn(8, 1, 8, 8))
    return net, probe(net, given, settings=settings or Settings(images=20))


def every(asked: Probe) -> list[Deletion]:
    return [Deletion(site.name, (channel,)) for site in asked.sites for channel in range(0, site.channels, 3)]


def test_a_suffix_gives_what_the_whole_model_gives_to_the_bit():
    for net, asked in (digits(), (small_net(), probe(small_net(), batches()))):
        images = next(asked.batches()).images
        sites = asked.sites if isinstance(net, MultiTaskNet) else probe(net, batches()).sites
        for site in sites:
            with torch.no_grad(), frozen_model(net), suffix_of(net, site) as suffix:
                suffix.record(images)
                with site.changing(lambda x: x * 0.5):
                    found = [suffix.again(images) for _ in range(2)][1]
            with torch.no_grad(), frozen_model(net), site.changing(lambda x: x * 0.5):
                expected = net(images)
            assert all(torch.equal(found[task], expected[task]) for task in expected), site.name


def test_what_ends_before_the_layer_is_not_run_again():
    net, asked = digits()
    site = asked.sites[-1]
    runs: list[str] = []
    for name, module in net.named_modules():
        module.register_forward_pre_hook(lambda _, given, name=name: runs.append(name))
    with torch.no_grad(), suffix_of(net, site) as suffix:
        suffix.record(next(asked.batches()).images)
        first = len(runs)
        suffix.again(next(asked.batches()).images)
    again = runs[first:]
    assert site.name == "trunk"
    assert [name for name in again if name.startswith("trunk.")] == []
    assert any(name.startswith("heads.") for name in again)


def test_zero_ablation_is_setting_the_input_group_to_zero():
    net, asked = digits(Settings(images=20, fill="zero"))
    site: Site = asked.sites[2]
    rows = pd.concat(ablations(asked, [Deletion(site.name, (1, 4), "two")], channel_means(asked)))
    assert list(rows.columns) == COLUMNS
    with torch.no_grad():
        weight = net.get_parameter(f"{site.name}.weight")
        weight[:, [1, 4]] = 0
    batch = next(asked.batches())
    pairs = [(batch.images, batch.targets)] + [(b.images, b.targets) for b in list(asked.batches())[1:]]
    with torch.no_grad(), frozen_model(net):
        for task, objective in asked.objectives.items():
            losses = torch.cat([objective.value(net(x)[task], y[task]) for x, y in pairs])
            row = rows[rows["task"] == task].iloc[0]
            assert row["loss"] == pytest.approx(float(losses.mean()), rel=1e-5)
            assert (row["channel"], row["channels"], row["group"]) == (-1, 2, "two")


def test_a_dead_cell_changes_exactly_nothing_and_a_living_one_something():
    net, asked = digits()
    site = asked.sites[2]
    with torch.no_grad():
        net.get_parameter(f"{site.name}.weight")[:, 1] = 0
    rows = pd.concat(ablations(asked, [Deletion(site.name, (c,)) for c in (0, 1)], channel_means(asked)))
    changes = ["loss_change", "effect", "value_change"]
    assert (rows.loc[rows["channel"] == 1, changes] == 0).all(axis=None)
    assert (rows.loc[rows["channel"] == 0, "effect"] > 0).all()
    assert set(rows["metric"]) == {"accuracy", "mae"}


def test_effect_is_at_least_the_size_of_the_mean_change():
    _, asked = digits()
    rows = pd.concat(ablations(asked, every(asked), channel_means(asked)))
    assert (rows["effect"] >= rows["loss_change"].abs() - 1e-7).all()


def test_it_goes_on_where_it_was_left():
    _, asked = digits()
    wanted, means = every(asked), channel_means(asked)
    wanted += [Deletion(asked.sites[1].name, (0, c), f"pair {c}") for c in range(1, 6)] * 4
    wanted = list({deletion.key: deletion for deletion in wanted}.values())
    whole = pd.concat(ablations(asked, wanted, means), ignore_index=True)
    first = next(ablations(asked, wanted, means))
    done = set(zip(first["layer"], first["channel"], first["group"], strict=True))
    assert 0 < len(done) <= BLOCK
    rest = pd.concat([first, *ablations(asked, wanted, means, done)], ignore_index=True)
    keys = ["layer", "channel", "group", "task"]
    pd.testing.assert_frame_equal(rest.sort_values(keys, ignore_index=True), whole.sort_values(keys, ignore_index=True))


def test_of_the_output_the_effect_is_its_change():
    _, asked = digits(Settings(images=8, of="output"))
    site = asked.sites[-1]
    means = channel_means(asked)
    rows = pd.concat(ablations(asked, [Deletion(site.name, (0,))], means))
    images = torch.cat([batch.images for batch in asked.batches()])
    model = asked.model.eval()
    with torch.no_grad():
        before = model(images)["ink"] if "ink" in asked.objectives else None
        with site.changing(lambda x: torch.cat([means["trunk"][:1].view(1, 1, 1, 1).expand_as(x[:, :1]), x[:, 1:]], 1)):
            after = model(images)
    task = next(name for name, o in asked.objectives.items() if o.task.field.kind == "regression")
    before = before if before is not None else model(images)[task]
    expected = float((after[task] - before).abs().mean())
    assert rows.set_index("task").loc[task, "effect"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("layer", "channels"), [("nowhere", (0,)), ("trunk", (99,)), ("trunk", ())])
def test_a_deletion_that_cannot_be_is_refused(layer: str, channels: tuple[int, ...]):
    _, asked = digits()
    with pytest.raises(ValueError, match="`deletions` must"):
        list(ablations(asked, [Deletion(layer, channels)], channel_means(asked)))


def test_plain_losses_have_no_metric():
    net = small_net()
    asked = probe(net, batches())
    rows = pd.concat(ablations(asked, [Deletion("trunk", (0,))], channel_means(asked)))
    assert rows["metric"].isna().all()
    assert np.isfinite(rows["effect"]).all()
