"""How deep a task needs the trunk: the deepest layer that lives in all of its sparse runs (LOMT, arXiv 2406.03048).

A layer of a run *lives* where three things hold, on the graph of the trained network (table `network`):

1. more than `living` % of its channels do: those whose group is not zero and that a later layer uses;
2. it reads something that depends on the image, through layers for which 1 holds;
3. what it makes reaches the output of the task, through layers for which 1 holds.

So in a residual network a branch counts as a whole: with one dead convolution it is constant, the block passes its
input on, and its other convolutions do not count, whatever their norms. The depth goes on behind such a block. Where a
stage begins with a convolution on its shortcut (a projection), whatever reaches a later stage passes it. It lives in
every network that works, so it says nothing about what a task needs: with `projections` = skip, which is usual, the
stage counts only if another layer in it lives. LOMT, too, leaves these convolutions out.

The stage of the deepest layer that lives in every seed is the advised one. It is a rule of thumb, not a theorem: the
comparison with the plain network says whether it pays.

| table   | a row is                                                                                                 |
|---------|----------------------------------------------------------------------------------------------------------|
| `depth` | a layer of the trunk for a task: task, layer, place (order of execution), stage (from 1), role (stem,    |
|         | block, projection); seeds; alive (in how many of them); alive_low, alive_high (Wilson's 95 % interval of |
|         | the share of seeds); living (mean share of its channels), living_low, living_high (over the seeds);      |
|         | deepest: whether it is the one that decides                                                              |
| `advice`| a task: stage and layer (0 and "" where none lives in all seeds), stages of the trunk, seeds,            |
|         | by_seed (the stage that each seed alone would give, with commas)                                         |
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from winnow.engine.runs.reading import taken_apart
from winnow.engine.runs.run import Run
from winnow.engine.specs.study import TailorSpec
from winnow.engine.specs.trunk import TrunkSpec

Role = Literal["stem", "block", "projection"]
DEPTH = ("task", "layer", "place", "stage", "role", "seeds", "alive", "alive_low", "alive_high")
COLUMNS = (*DEPTH, "living", "living_low", "living_high", "deepest")
ADVICE = ("task", "stage", "layer", "stages", "seeds", "by_seed")
NORMAL = 1.959964  # quantile of the normal distribution for 95 %
VIT_BLOCKS = 12
PLACES: tuple[tuple[str, Role], ...] = (
    (r"trunk\.stages\.(\d+)\.\d+\.around\.", "projection"),
    (r"trunk\.merging\.(\d+)\.", "projection"),
    (r"trunk\.stages\.(\d+)\.", "block"),
    (r"trunk\.blocks\.(\d+)\.", "block"),
    (r"trunk\.(?:stem|embed)\b", "stem"),
)


@dataclass(frozen=True)
class Rule:
    """From which share of living channels on [0, 1] a layer lives, and whether projections are layers as others."""

    living: float = 0.01
    projections: bool = False


def depth_rule(spec: TailorSpec) -> Rule:
    """Return the rule that a spec asks for."""
    return Rule(spec.living / 100, spec.projections == "count")


def stage_of(layer: str, stages: int) -> tuple[int, Role] | None:
    """Return the stage of a layer, from 1, and what it is; None where it is no layer of a trunk of ours."""
    for pattern, role in PLACES:
        if (found := re.match(pattern, layer)) is None:
            continue
        if role == "stem":
            return 1, role
        number = int(found[1])
        if layer.startswith("trunk.blocks."):
            return number * stages // VIT_BLOCKS + 1, role
        return number + (2 if layer.startswith("trunk.merging.") else 1), role
    return None


def layer_states(run: Run, stages: int, rule: Rule) -> pd.DataFrame:
    """Return the layers of a run's trunk: layer, place, stage, role, living (share of channels), alive.

    Raises:
        ValueError: the run holds no tables of its graph.

    """
    try:
        nodes, edges, groups = (run.table(name) for name in ("network", "streams", "groups"))
    except OSError as error:
        raise ValueError(f"`run` must hold the tables of its network, got none in {run.id}. Train it again.") from error
    with taken_apart(run.path / "tables" / "network.parquet"):
        return _states(nodes, edges, _shares(nodes, groups), stages, rule)


def _states(
    nodes: pd.DataFrame, edges: pd.DataFrame, shares: Mapping[int, float], stages: int, rule: Rule
) -> pd.DataFrame:
    passing = {
        int(node): kind != "layer" or shares[int(node)] > (rule.living if str(name).startswith("trunk.") else 0.0)
        for node, kind, name in zip(nodes["node"], nodes["kind"], nodes["name"], strict=True)
    }
    ends = [(int(source), int(target)) for source, target in zip(edges["source"], edges["target"], strict=True)]
    fed = _reached(nodes, "input", ends, passing)
    needed = _reached(nodes, "output", [(target, source) for source, target in ends], passing)
    rows = []
    for node, name in zip(nodes["node"], nodes["name"], strict=True):
        if (at := stage_of(str(name), stages)) is not None:
            alive = int(node) in fed and int(node) in needed
            rows.append([str(name), int(node), at[0], at[1], shares[int(node)], alive])
    return pd.DataFrame(rows, columns=pd.Index(["layer", "place", "stage", "role", "living", "alive"]))


def advice_tables(runs: Mapping[str, Sequence[Run]], stages: int, rule: Rule) -> dict[str, pd.DataFrame]:
    """Return the tables `depth` and `advice` from the sparse runs of each task, one for each seed."""
    depths, advised = [], []
    for task, own in runs.items():
        if not own:
            continue
        states = [layer_states(run, stages, rule) for run in own]
        depth = _depth(task, states)
        counts = depth["role"].ne("projection") | rule.projections
        every = depth[counts & (depth["alive"] == depth["seeds"])]
        deepest = every.iloc[-1] if len(every) else None
        depth["deepest"] = depth["layer"] == (deepest["layer"] if deepest is not None else "")
        alone = [_stage(state, rule) for state in states]
        stage, layer = (int(deepest["stage"]), str(deepest["layer"])) if deepest is not None else (0, "")
        advised.append([task, stage, layer, stages, len(own), ",".join(map(str, alone))])
        depths.append(depth)
    columns = pd.Index(COLUMNS)
    return {
        "depth": pd.concat(depths, ignore_index=True)[list(COLUMNS)] if depths else pd.DataFrame(columns=columns),
        "advice": pd.DataFrame(advised, columns=pd.Index(ADVICE)),
    }


def tailored_network(spec: TrunkSpec, advice: pd.DataFrame) -> TrunkSpec:
    """Return the network with each head at its advised stage, and no stage behind the deepest of them.

    Where every task needs the last stage, it is the network as it was.

    Raises:
        ValueError: no layer lives in all sparse runs of a task.

    """
    stages = {str(task): int(stage) for task, stage in zip(advice["task"], advice["stage"], strict=True)}
    if dead := [task for task, stage in stages.items() if stage == 0]:
        raise ValueError(
            f"`targets` must be so low that a layer lives in every sparse run, got none for {', '.join(dead)}. Ask for "
            "a lower sparsity."
        )
    deepest = max(stages.values())
    read = {task: stage for task, stage in stages.items() if stage < deepest}
    cut = None if deepest == spec.depth else deepest
    return spec.model_copy(update={"head_stage": read, "trunk_stages": cut})


def advice_sentence(advice: pd.DataFrame) -> str:
    """Say which stage serves which task."""
    if advice.empty:
        return "No sparse run of a single task has ended yet."
    parts: dict[int, list[str]] = {}
    for task, stage in zip(advice["task"], advice["stage"], strict=True):
        parts.setdefault(int(stage), []).append(str(task))
    none = parts.pop(0, [])
    said = [f"{' and '.join(tasks)} {'need' if len(tasks) > 1 else 'needs'} stage {n}" for n, tasks in parts.items()]
    stages, deepest = int(advice["stages"].iloc[0]), max(parts, default=0)
    text = "; ".join(said) + f" of {stages}." if said else ""
    if none:
        return f"{text} No layer lives in all sparse runs of {' and '.join(none)}: ask for a lower sparsity.".strip()
    if len(parts) == 1 and deepest == stages:
        return f"{text} The tailored network is the plain one."
    return text + (f" The trunk ends after stage {deepest}." if deepest < stages else "")


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (Wilson 1927), within [0, 1]."""
    share, squared = successes / n, NORMAL**2
    middle = (share + squared / (2 * n)) / (1 + squared / n)
    half = NORMAL / (1 + squared / n) * math.sqrt(share * (1 - share) / n + squared / (4 * n * n))
    return middle - half if successes else 0.0, middle + half if successes < n else 1.0  # the ends are exact


def _shares(nodes: pd.DataFrame, groups: pd.DataFrame) -> dict[int, float]:
    """Return the share of channels of each layer that live: used by a later layer, and with a group that is not zero.

    A group of several layers (coupled) has the name of a channel's space; there the use alone decides.
    """
    of_layer = (groups["norm"] > 0).groupby(groups["layer"].astype(str)).mean()
    found = {}
    for node, name, used, columns in zip(nodes["node"], nodes["name"], nodes["used"], nodes["columns"], strict=True):
        share = float(used) / max(int(columns), 1)
        found[int(node)] = min(share, float(of_layer.get(str(name), 1.0)))
    return found


def _reached(
    nodes: pd.DataFrame, start: str, edges: Sequence[tuple[int, int]], passing: Mapping[int, bool]
) -> set[int]:
    """Return the nodes that can be reached from those of a kind along edges, through nodes that let pass."""
    following: dict[int, list[int]] = {}
    for source, target in edges:
        following.setdefault(source, []).append(target)
    found = {int(node) for node in nodes.loc[nodes["kind"] == start, "node"]}
    waiting = list(found)
    while waiting:
        for target in following.get(waiting.pop(), []):
            if target not in found and passing[target]:
                found.add(target)
                waiting.append(target)
    return found


def _depth(task: str, states: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return how the layers are over the seeds of a task."""
    both = pd.concat(states).groupby("layer", sort=False)
    found = both[["place", "stage", "role"]].first()
    found["alive"], found["living"] = both["alive"].sum().astype(int), both["living"].mean()
    found["living_low"], found["living_high"] = both["living"].min(), both["living"].max()
    found["seeds"], found["task"] = len(states), task
    bounds = [wilson(int(alive), len(states)) for alive in found["alive"]]
    found["alive_low"], found["alive_high"] = [low for low, _ in bounds], [high for _, high in bounds]
    return found.reset_index().sort_values("place", kind="stable")


def _stage(state: pd.DataFrame, rule: Rule) -> int:
    """Return the stage that one run alone would give, 0 where no layer lives."""
    counts = state[state["alive"] & (state["role"].ne("projection") | rule.projections)]
    return int(counts["stage"].iloc[-1]) if len(counts) else 0
