"""The circuits of all tasks of a model: scored, selected, checked, compared, as tables.

| table              | columns                                                                                         |
|--------------------|-------------------------------------------------------------------------------------------------|
| `circuits`         | task, layer, source, destination, score, kept_90, kept_95, shared: one row per task and edge    |
| `circuit_figures`  | task, level, edges, kept, share, loss_whole, loss_cut, those of `checking`, images              |
| `circuit_overlaps` | level, layer ("" for all), task, other, jaccard, low, high, chance, one_in_other, other_in_one  |

score: the part of the task's loss change that an edge saves, to first order half-way between cut and whole. shared: the
edge is one of another task too, so that the circuits can be compared there. Every fourth image checks, every fourth
other one sizes, and the rest are learned from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from winnow.engine.explain.checks.structural import head_readers
from winnow.engine.explain.checks.suffix import running_only
from winnow.engine.explain.circuits.checking import CircuitFigures, judged_circuit
from winnow.engine.explain.circuits.edges import EdgeNetwork, cuttable, edge_scores, why_no_edges
from winnow.engine.explain.circuits.losses import LossSpan, TaskEdges, learned_span
from winnow.engine.explain.circuits.selecting import FoundCircuits, Learning, resampled, select_circuits
from winnow.engine.explain.circuits.tables import CIRCUITS, FIGURES, OVERLAPS, kept_column
from winnow.engine.explain.relevance.means import Means, channel_means
from winnow.engine.explain.relevance.probe import Images, Probe, Tasks, probe
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.explain.relevance.sites import named_sites
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.specs.explain import LEAST_FOR_CIRCUITS
from winnow.engine.training.batches import Batch

T = 2.365  # 97.5 % quantile of Student's t with RESAMPLES − 1 degrees of freedom
RESAMPLES = 8
_Parts = tuple[list[Batch], list[Batch], list[Batch]]
Say = Callable[[str], None]  # called as each phase begins


@dataclass(frozen=True)
class CircuitTables:
    """The tables above; why layers have no edges here, and stay whole; why tasks have no circuit; both by name."""

    circuits: pd.DataFrame
    figures: pd.DataFrame
    overlaps: pd.DataFrame
    left_out: Mapping[str, str]
    refused: Mapping[str, str]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by their names."""
        return {"circuits": self.circuits, "circuit_figures": self.figures, "circuit_overlaps": self.overlaps}


def task_circuits(
    model: nn.Module,
    batches: Images,
    *,
    layers: Sequence[str] | None = None,
    tasks: Tasks | None = None,
    settings: Settings | None = None,
    learning: Learning | None = None,
) -> CircuitTables:
    """Return the circuit of every task of a model: the fewest edges that keep 90 or 95 % of what the task has learned.

    kept = (L(all cut) − L(circuit)) / (L(all cut) − L(whole)), with L the task's loss on images that did not find it.
    An edge is cut by putting the channel's mean in its place. The tables: see `CircuitTables`.

    Args:
        model: any module, as `engine.explain.relevance.relevance` takes it.
        batches: pairs (images, {task: target}); at least 8 images.
        layers: the layers whose edges may be cut; by default what the tasks share, and not the heads. A job adds the
            first layer of each head (`circuit_layers`).
        tasks: what the model's outputs are; by default the tasks of the batches.
        settings: `fill` is what passes in the place of a channel, `seed` that of resampling.
        learning: how circuits are learned.

    Raises:
        ValueError: too few images, no layer with edges, or no task that has learned anything.

    """
    probed = probe(model, batches, layers=layers, tasks=tasks, settings=settings)
    return probe_circuits(probed, channel_means(probed), learning or Learning())


def circuit_layers(probed: Probe, graph: ChannelGraph, trunk: Sequence[str] = ()) -> list[str]:
    """Return the layers whose edges make circuits: the readers that tasks share, and the first ones of each head."""
    shared = [site.name for site in probed.sites if site.end == "input"]
    heads = [site.layer for own in head_readers(graph, trunk).values() for site in own]
    return list(dict.fromkeys([*shared, *heads]))


def with_layers(probed: Probe, layers: Sequence[str]) -> Probe:
    """Return a probe at other layers of the same model."""
    first = next(probed.batches())
    return replace(probed, sites=tuple(named_sites(probed.model, layers, first.images[:4])))


def probe_circuits(probed: Probe, means: Means, learning: Learning, say: Say = lambda phase: None) -> CircuitTables:
    """Return the circuits of every task at the sites of a probe; `means` is what passes along an edge that is cut."""
    left_out = {site.name: why for site in probed.sites if (why := why_no_edges(site))}
    sites = [site for site in probed.sites if site.name not in left_out]
    if not sites:
        raise ValueError(f"`layers` must hold a layer whose edges can be cut, got {', '.join(left_out) or 'none'}.")
    parts = _parts(probed, learning.chunk)
    tasks = list(probed.objectives)
    with cuttable(probed, sites, means) as network:
        say("scoring edges")
        scores = edge_scores(network, network.every(0.5), tasks, lambda: iter(parts[0]))
        made, refused = [], {}
        for task in tasks:
            say(f"selecting the circuit of {task}")
            try:
                made.append(_circuits_of(network, task, parts, learning))
            except ValueError as error:
                refused[task] = str(error)
        if not made:
            raise ValueError(" ".join(refused.values()))
        frames = _edge_rows(made, scores), _figure_rows(made), _overlap_rows(made)
        return CircuitTables(*frames, left_out, refused)


@dataclass(frozen=True)
class _Found:
    """The circuits of a task, by level; their figures; and the last one again, on resampled images."""

    edges: TaskEdges
    on: LossSpan
    selected: FoundCircuits
    figures: Mapping[float, CircuitFigures]
    again: tuple[Tensor, ...]


def _circuits_of(network: EdgeNetwork, task: str, parts: _Parts, learning: Learning) -> _Found:
    with running_only(network.probe.model, parts[0][0].images, (task,)):
        return _found_circuits(network, task, parts, learning)


def _found_circuits(network: EdgeNetwork, task: str, parts: _Parts, learning: Learning) -> _Found:
    edges = TaskEdges(network, task, network.edges_of(task))
    learned, sizing, checking = (learned_span(edges, part) for part in parts)
    selected = select_circuits(edges, learned, sizing, learning)
    seed = network.probe.settings.seed
    figures = {
        level: judged_circuit(edges, checking, circuit, seed, network.probe.settings.bootstrap)
        for level, circuit in selected.circuits.items()
    }
    again = (
        resampled(edges, learned, selected, learning, (seed, RESAMPLES)) if len(network.probe.objectives) > 1 else ()
    )
    return _Found(edges, checking, selected, figures, again)


def _parts(probed: Probe, chunk: int) -> _Parts:
    """Return the images to learn from, those to size and those to check on, batches of at most `chunk` to learn."""
    found: _Parts = ([], [], [])
    seen = 0
    for batch in probed.batches():
        numbers = torch.arange(seen, seen + len(batch.images)) % 4
        seen += len(batch.images)
        for part, own in zip(found, (numbers % 2 == 0, numbers == 1, numbers == 3), strict=True):
            chunks = torch.split(own.nonzero().ravel(), chunk)
            part.extend(_of_batch(batch, places) for places in chunks if len(places))
    if seen < LEAST_FOR_CIRCUITS:
        raise ValueError(
            f"`images` must be at least {LEAST_FOR_CIRCUITS} for circuits, got {seen}. Explain the run on more images."
        )
    return found


def _of_batch(batch: Batch, places: Tensor) -> Batch:
    return Batch(batch.images[places], {name: target[places] for name, target in batch.targets.items()})


def _edge_rows(made: Sequence[_Found], scores: Mapping[str, Mapping[str, Tensor]]) -> pd.DataFrame:
    """Return one row per task and edge."""
    network = made[0].edges.network
    several = torch.stack([own.edges.edges for own in made]).sum(0) > 1
    source, destination, layer = _places(network)
    frames = []
    for own in made:
        kept = own.edges.edges.nonzero().ravel().cpu()
        score = -network.joined(scores[own.edges.task]).cpu() / own.on.change
        columns = {"source": source[kept], "destination": destination[kept], "score": score[kept]}
        columns |= {kept_column(level): mask.cpu()[kept] for level, mask in own.selected.circuits.items()}
        frame = pd.DataFrame({name: values.numpy() for name, values in columns.items()})
        names = np.array([reader.name for reader in network.readers], object)[layer[kept].numpy()]
        frames.append(frame.assign(task=own.edges.task, layer=names, shared=several.cpu()[kept].numpy()))
    whole = pd.concat(frames, ignore_index=True)
    return whole[[*CIRCUITS, *(name for name in whole.columns if name.startswith("kept_")), "shared"]]


def _places(network: EdgeNetwork) -> tuple[Tensor, Tensor, Tensor]:
    """Return the source, the destination and the number of the layer of every edge."""
    sources, destinations, layers = [], [], []
    for number, reader in enumerate(network.readers):
        own = reader.sources()
        sources.append(own.flatten())
        destinations.append(torch.arange(len(own)).repeat_interleave(own.shape[1]))
        layers.append(torch.full((own.numel(),), number))
    return torch.cat(sources), torch.cat(destinations), torch.cat(layers)


def _figure_rows(made: Sequence[_Found]) -> pd.DataFrame:
    rows = [
        {
            "task": own.edges.task,
            "level": level,
            "edges": own.edges.count,
            "kept": int(circuit.sum()),
            "share": int(circuit.sum()) / own.edges.count,
            "loss_whole": float(own.on.whole.mean()),
            "loss_cut": float(own.on.cut.mean()),
            **asdict(own.figures[level]),
            "images": len(own.on.whole),
        }
        for own in made
        for level, circuit in own.selected.circuits.items()
    ]
    return pd.DataFrame(rows, columns=list(FIGURES))


def _overlap_rows(made: Sequence[_Found]) -> pd.DataFrame:
    """Return how far the circuits of every two tasks overlap at the highest level, layer by layer and in all."""
    network, rows = made[0].edges.network, []
    layer = _places(network)[2]
    for one, other in combinations(made, 2):
        both = (one.edges.edges & other.edges.edges).cpu()
        for number in (-1, *sorted(set(layer[both].tolist()))):
            own = both & (layer == number) if number >= 0 else both
            name = network.readers[number].name if number >= 0 else ""
            rows.append([name, one.edges.task, other.edges.task, *_overlap((one, other), own, layer)])
    level = max(made[0].selected.circuits)
    return pd.DataFrame(rows, columns=list(OVERLAPS[1:])).assign(level=level)[list(OVERLAPS)]


def _overlap(pair: tuple[_Found, _Found], own: Tensor, layer: Tensor) -> list[float]:
    masks = [found.selected.circuits[max(found.selected.circuits)].cpu() & own for found in pair]
    value = jaccard(*masks)
    again = [jaccard(a.cpu() & own, b.cpu() & own) for a, b in zip(pair[0].again, pair[1].again, strict=True)]
    half = T * float(np.std(again, ddof=1))
    common, sizes = int((masks[0] & masks[1]).sum()), [int(mask.sum()) for mask in masks]
    parts = [common / size if size else float("nan") for size in sizes]
    chance = _by_chance(masks, own, layer)
    return [value, max(value - half, 0.0), min(value + half, 1.0), chance, *parts]


def jaccard(one: Tensor, other: Tensor) -> float:
    """Return |A ∩ B| / |A ∪ B|, NaN where both are empty."""
    joined = int((one | other).sum())
    return int((one & other).sum()) / joined if joined else float("nan")


def _by_chance(masks: Sequence[Tensor], own: Tensor, layer: Tensor) -> float:
    """Return the Jaccard index of random circuits with as many edges in every layer, of expected sizes."""
    a, b, n = (torch.bincount(layer[mask], minlength=int(layer.max()) + 1).double() for mask in (*masks, own))
    common = float((a * b / n.clamp(min=1)).sum())
    joined = float((a + b).sum()) - common
    return common / joined if joined else float("nan")
