"""How deep a task needs the trunk: a rule on planted networks, then whole tailorings of digits in this process."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from winnow.data.sample import Field
from winnow.engine.cli.main import winnow
from winnow.engine.graph.streams import stream_tables, streams
from winnow.engine.graph.trace import trace
from winnow.engine.jobs.study_job import StudyError
from winnow.engine.networks.multitask import build_network
from winnow.engine.runs.run import Run
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.network import parse_network
from winnow.engine.specs.study import parse_many
from winnow.engine.specs.trunk import TrunkSpec
from winnow.engine.studies.depth_advice import (
    Rule,
    advice_sentence,
    advice_tables,
    layer_states,
    stage_of,
    tailored_network,
    wilson,
)
from winnow.engine.studies.plan import plan
from winnow.engine.tasks.build import build_tasks

SIDE = build_tasks({"side": Field(kind="classification", classes=("left", "right"))}, ["side"])
RESIDUAL: dict[str, Any] = {"network": "residual", "widths": [6, 6, 8], "blocks": [2, 1, 1], "head_width": 4}


def planted(folder: Path, dead: tuple[str, ...], **asked: Any) -> Run:
    """Write the tables of a run in whose network some layers are zero."""
    spec = parse_network({**RESIDUAL, **asked})
    torch.manual_seed(0)
    net = build_network(spec, SIDE, 3).eval()
    with torch.no_grad():
        for name in dead:
            net.get_submodule(name).weight.zero_()
    graph = trace(net, torch.rand(1, 3, 32, 32))
    layers = [(name, module) for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
    rows = [
        (name, channel, float(module.weight.detach()[:, channel].norm()))
        for name, module in layers
        for channel in range(module.in_channels)
    ]
    tables = folder / "tables"
    tables.mkdir(parents=True)
    for name, frame in zip(("network", "streams"), stream_tables(streams(graph), graph.liveness()), strict=True):
        frame.to_parquet(tables / f"{name}.parquet")
    pd.DataFrame(rows, columns=["layer", "channel", "norm"]).to_parquet(tables / "groups.parquet")
    return Run(folder)


def advised(run: Run, stages: int = 3, **rule: Any) -> tuple[int, str]:
    (row,) = advice_tables({"side": [run]}, stages, Rule(**rule))["advice"].itertuples()
    return row.stage, row.layer


@pytest.mark.parametrize(
    ("dead", "stage", "layer"),
    [
        ((), 3, "trunk.stages.2.0.conv2.0"),
        (("trunk.stages.2.0.conv2.0",), 2, "trunk.stages.1.0.conv2.0"),
        (("trunk.stages.2.0.conv1.0",), 2, "trunk.stages.1.0.conv2.0"),  # conv2 only passes a constant on
        (("trunk.stages.1.0.conv1.0",), 3, "trunk.stages.2.0.conv2.0"),  # the depth goes on behind a dead block
        (("trunk.stages.2.0.conv1.0", "trunk.stages.1.0.conv2.0"), 1, "trunk.stages.0.1.conv2.0"),
        (
            ("trunk.stages.2.0.conv1.0", "trunk.stages.1.0.conv2.0", "trunk.stages.0.1.conv1.0"),
            1,
            "trunk.stages.0.0.conv2.0",
        ),
        (("trunk.stem.0.0",), 0, ""),
        (("trunk.stages.2.0.conv2.0", "trunk.stages.2.0.around.0"), 0, ""),  # the head sees a constant
    ],
)
def test_the_deepest_layer_that_lives(dead, stage, layer, tmp_path):
    assert advised(planted(tmp_path / "run", dead)) == (stage, layer)


def test_a_projection_counts_only_if_asked(tmp_path):
    run = planted(tmp_path / "run", ("trunk.stages.2.0.conv2.0",))
    assert advised(run) == (2, "trunk.stages.1.0.conv2.0")
    assert advised(run, projections=True) == (3, "trunk.stages.2.0.around.0")
    states = layer_states(run, 3, Rule()).set_index("layer")
    assert states.loc["trunk.stages.2.0.around.0", ["role", "alive"]].tolist() == ["projection", True]
    assert states.loc["trunk.stages.2.0.conv1.0", "living"] == 0, "nothing uses what it makes"


def test_a_layer_must_live_in_every_seed_by_more_than_the_share(tmp_path):
    whole, cut = planted(tmp_path / "a", ()), planted(tmp_path / "b", ("trunk.stages.2.0.conv1.0",))
    found = advice_tables({"side": [whole, cut]}, 3, Rule())
    (row,) = found["advice"].itertuples()
    assert (row.stage, row.by_seed, row.seeds) == (2, "3,2", 2)
    depth = found["depth"].set_index("layer")
    last = depth.loc["trunk.stages.2.0.conv2.0"]
    assert (last["alive"], last["seeds"], last["deepest"]) == (1, 2, False)
    assert (last["alive_low"], last["alive_high"]) == pytest.approx(wilson(1, 2))
    assert depth["deepest"].sum() == 1
    assert advised(whole, living=1.0) == (0, "")


def test_an_interval_of_a_share():
    assert wilson(0, 5)[0] == 0
    assert wilson(5, 5)[1] == 1
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # Brown, Cai and DasGupta 2001


@pytest.mark.parametrize("name", ["vit", "swin", "resnet"])
def test_stages_of_every_trunk_are_those_that_heads_read(name):
    from tests.engine.networks.test_networks_of_ours import narrow_swin, narrow_vit

    nets = {"vit": narrow_vit, "swin": narrow_swin, "resnet": lambda **asked: _resnet(**asked)}
    for built in (1, 2, 3):
        names = {layer for layer, _ in nets[name](trunk_stages=built).trunk.named_parameters()}
        whole = {layer for layer, _ in nets[name](trunk_stages=4).trunk.named_parameters()}
        known = {layer: stage_of(f"trunk.{layer}", 4) for layer in whole if stage_of(f"trunk.{layer}", 4)}
        assert {layer for layer in whole if layer in known and known[layer][0] <= built} == names & set(known)
        assert not any(known[layer][0] <= built for layer in whole - names if layer in known)


def _resnet(**asked: Any) -> nn.Module:
    return build_network(parse_network({"network": "resnet18", "variant": "d", **asked}), SIDE, 3)


@pytest.mark.parametrize("head", ["light", "unet"])
@pytest.mark.parametrize("coupling", ["shared", "mtan"])
def test_a_truncated_trunk_is_the_first_part_of_the_whole(head, coupling):
    from tests.engine.networks.test_networks_of_ours import built

    whole = built(head=head, coupling=coupling, head_stage={"seg": 1, "depth": 2, "side": 2})
    short = built(head=head, coupling=coupling, head_stage={"seg": 1}, trunk_stages=2)
    weights = whole.state_dict()
    assert not any(name.startswith("trunk.stages.2.") for name in short.state_dict())
    short.load_state_dict({name: weights[name] for name in short.state_dict()})
    images = torch.rand(2, 3, 32, 24)
    for task, value in whole(images).items():
        torch.testing.assert_close(short(images)[task], value)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"trunk_stages": 4}, "`trunk_stages` must be at most 3 in residual, got 4"),
        ({"trunk_stages": 0}, "`trunk_stages` must be greater than or equal to 1, got 0"),
    ],
)
def test_stages_that_there_are_not_are_refused(asked, says):
    with pytest.raises(SpecError, match=says):
        parse_network({**RESIDUAL, **asked})


def test_the_tailored_network():
    spec = parse_network(RESIDUAL)
    assert isinstance(spec, TrunkSpec)

    def tailored(**stages: int) -> tuple[dict[str, int], int | None]:
        advice = pd.DataFrame({"task": list(stages), "stage": list(stages.values()), "stages": 3})
        found = tailored_network(spec, advice)
        return found.head_stage, found.trunk_stages

    assert tailored(seg=3, depth=3) == ({}, None)
    assert tailored(seg=1, depth=3) == ({"seg": 1}, None)
    assert tailored(seg=1, depth=2) == ({"seg": 1}, 2)
    with pytest.raises(ValueError, match="got none for seg"):
        tailored(seg=0, depth=2)


def test_the_sentence_says_every_task():
    def said(**stages: int) -> str:
        return advice_sentence(pd.DataFrame({"task": list(stages), "stage": list(stages.values()), "stages": 4}))

    assert said(seg=3, depth=4) == "seg needs stage 3; depth needs stage 4 of 4."
    assert said(seg=2, depth=2) == "seg and depth need stage 2 of 4. The trunk ends after stage 2."
    assert said(seg=4) == "seg needs stage 4 of 4. The tailored network is the plain one."
    assert "No layer lives in all sparse runs of seg" in said(seg=0)


@pytest.fixture(scope="module")
def asked(small):
    def values(base: dict[str, object] | None = None, **changes: object) -> dict[str, object]:
        quick = {"epochs": 1, "network": {"widths": [8, 8, 8], "blocks": [1, 1, 1], "head_width": 8}, **(base or {})}
        return small(quick, **{"kind": "tailor", "targets": [60], **changes})

    return values


def test_the_plan_is_singles_then_the_two_networks(asked):
    members = plan(parse_many(asked(seeds=[0, 1])))
    assert [member.arm for member in members] == ["sparse"] * 4 + ["dense", "tailored"] * 2
    assert {member.spec.penalty.floor for member in members[:4]} == {0.0}, "a layer may die out"
    assert members[5].needs.keys == tuple(member.key for member in members[:4])
    assert members[4].spec.epochs == members[5].spec.epochs
    assert [member.arm for member in plan(parse_many(asked(compare=False)))] == ["sparse"] * 2


@pytest.mark.parametrize(
    ("base", "changes", "says"),
    [
        ({}, {"targets": [50, 60]}, "must give one sparsity for all tasks, got 2"),
        ({}, {"targets": []}, "must give one sparsity for all tasks, got 0"),
        ({"network": {"widths": [8, 8], "blocks": [1, 1], "trunk_stages": 1}}, {}, "`head_stage` and `trunk_stages`"),
        ({"network": {"network": "mmoe"}}, {}, "`network` must have one trunk of stages"),
        ({"tasks": ["digit"]}, {}, "`tasks` must be at least two"),
        ({"penalty": {"scope": "heads"}}, {}, "`scope` must include the trunk"),
        ({"penalty": {"normalisation": "aware"}}, {}, "`normalisation` must be plain"),
        ({}, {"controls": ["small"]}, "`subsets`, `balancings`, `controls` and `warm` must be left out"),
        ({}, {"evidence": [{"run": "a", "task": "digit", "seed": 0}]}, "got none for ink"),
    ],
)
def test_what_says_nothing_about_depth_is_refused(asked, base, changes, says):
    with pytest.raises(SpecError, match=says):
        parse_many(asked(base, **changes))


@pytest.fixture(scope="module")
def tailored(asked, trained_here, tmp_path_factory):
    return trained_here(asked(living=45), tmp_path_factory.mktemp("tailored"))[0]


def test_a_tailoring_from_its_runs_to_its_tables(tailored):
    members = tailored.members().set_index("key")
    assert (members["state"] == "done").all(), members["message"].tolist()
    advice = tailored.table("advice").set_index("task")
    assert set(advice.index) == {"digit", "ink"}
    network = tailored.run("tailored/digit+ink/equal/0").spec.network
    for task, stage in advice["stage"].items():
        assert network.head_stage.get(task, network.built) == stage
    deltas = tailored.table("delta").query("arm == 'tailored' and against == 'dense'")
    assert len(deltas)
    assert set(tailored.table("depth").columns) >= {"task", "layer", "stage", "alive", "living", "deepest"}


def test_runs_that_are_named_are_read_and_not_trained(tailored, asked, trained_here):
    runs = [tailored.run(f"sparse-target-60/{task}/equal/0") for task in ("digit", "ink")]
    evidence = [{"run": run.id, "task": run.spec.tasks[0], "seed": 0} for run in runs]
    values = asked(living=45, evidence=evidence, targets=[], name="named")
    study, pool = trained_here(values, tailored.root)
    assert not pool.trained, "the two networks are known too"
    pd.testing.assert_frame_equal(study.table("advice"), tailored.table("advice"))


def test_a_run_that_says_nothing_about_depth_is_refused_by_name(tailored, asked, trained_here):
    dense = tailored.run("dense/digit+ink/equal/0")
    ink = tailored.run("sparse-target-60/ink/equal/0")
    evidence = [{"run": dense.id, "task": "digit", "seed": 0}, {"run": ink.id, "task": "ink", "seed": 0}]
    with pytest.raises(StudyError, match="`evidence` must have the one task digit, got digit, ink"):
        trained_here(asked(evidence=evidence, targets=[], name="wrong"), tailored.root)


def test_the_command_reads_runs_that_are_named(tailored, monkeypatch):
    monkeypatch.setenv("WINNOW_RUNS", str(tailored.root))
    runs = [tailored.run(f"sparse-target-60/{task}/equal/0").id for task in ("digit", "ink")]

    def said(*more: str) -> str:
        return CliRunner().invoke(winnow, ["tailor", "--evidence", ",".join(runs), "--plan", *more]).output

    assert "given/digit/equal/0\ngiven/ink/equal/0\ndense/digit+ink/equal/0" in said()
    assert "4 runs" in said()
    assert "2 runs" in said("--no-compare")
    assert "`--epochs` must be left out with `--evidence`" in said("--epochs", "3")
    shown = CliRunner().invoke(winnow, ["tailor", "--show", tailored.id]).output
    assert advice_sentence(tailored.table("advice")) in shown
