"""How tasks share a trunk: one for all, one with masks of each task, or one per task with stitches between them.

A trunk gives the features (B, C, h, w) of its last stage, or, made with `every`, those of every stage, as a tuple.
`widths` are their channels.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.networks.heads import AtStage, build_head, conv_norm
from winnow.engine.networks.multitask import MultiTaskNet, WithHeads, to_size
from winnow.engine.specs.registry import entry
from winnow.engine.specs.trunk import TrunkSpec
from winnow.engine.tasks.task import Task

KEPT = 0.9  # of a task's own features in its first stitches; the others share the rest
Make = Callable[[bool], "Trunk"]


class Trunk(nn.Module):
    """A module that turns images into features, stage by stage; a subclass sets `widths` and `every`."""

    widths: Sequence[int]
    every: bool

    def begin(self, images: Tensor) -> Tensor:
        """Return what the first stage takes."""
        raise NotImplementedError(f"{type(self).__name__}.begin")

    def step(self, stage: int, x: Tensor) -> Tensor:
        """Return what a stage makes of x."""
        raise NotImplementedError(f"{type(self).__name__}.step")

    def shown(self, stage: int, x: Tensor, size: torch.Size) -> Tensor:
        """Return what a stage made as features (B, C, h, w) of images of `size`."""
        return x

    def cut(self, stages: int) -> None:
        """Drop all stages behind the first `stages` of them; the features of those do not change."""
        raise NotImplementedError(f"{type(self).__name__}.cut")

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(B, channels, H, W) → features (B, C, h, w) of the last stage, or with `every` of each."""
        x, size, last = self.begin(images), images.shape[-2:], len(self.widths) - 1
        found = []
        for stage in range(last + 1):
            x = self.step(stage, x)
            if self.every or stage == last:
                found.append(self.shown(stage, x, size))
        return tuple(found) if self.every else found[-1]


def on_trunk(spec: TrunkSpec, tasks: Mapping[str, Task], make: Make, *, frozen_norms: bool = False) -> WithHeads:
    """Return the network of a spec around the trunks that `make` gives, freshly initialised.

    Raises:
        ValueError: a stage for a task that is not trained, or one that the trunk does not have; no such coupling.

    """
    if unknown := [task for task in spec.head_stage if task not in tasks]:
        raise ValueError(f"`head_stage` must name tasks of the run, {', '.join(tasks)}, got {', '.join(unknown)}.")
    if wrong := [f"{task}={stage}" for task, stage in spec.head_stage.items() if stage > spec.built]:
        raise ValueError(f"`head_stage` must be at most {spec.built} in {spec.network}, got {', '.join(wrong)}.")

    def made(every: bool) -> Trunk:
        trunk = make(every)  # whole, so that the stages that stay begin with the weights that they have in the whole
        if spec.built < len(trunk.widths):
            trunk.cut(spec.built)
        return trunk

    net = entry({"shared": _one, "mtan": _masked, "cross-stitch": _stitched}, spec.coupling, "coupling")(
        spec, tasks, made
    )
    if frozen_norms:
        net.freeze_norms()
    return net


def _one(spec: TrunkSpec, tasks: Mapping[str, Task], make: Make) -> WithHeads:
    several = bool(spec.head_stage) or (spec.head == "unet" and any(task.field.dense for task in tasks.values()))
    trunk = make(several)
    if several:
        return MultiTaskNet(trunk, _heads(spec, tasks, trunk.widths))
    heads = {name: build_head(task, spec.head, trunk.widths[-1], spec.head_width) for name, task in tasks.items()}
    return MultiTaskNet(trunk, heads)


def _masked(spec: TrunkSpec, tasks: Mapping[str, Task], make: Make) -> WithHeads:
    trunk = make(True)
    heads = _heads(spec, tasks, trunk.widths)
    return MultiTaskNet(trunk, {name: Attending(trunk.widths, head) for name, head in heads.items()})


def _stitched(spec: TrunkSpec, tasks: Mapping[str, Task], make: Make) -> WithHeads:
    if len(tasks) < 2:
        raise ValueError(f"`coupling` must be shared or mtan for one task, {next(iter(tasks))}, got cross-stitch.")
    trunks = {name: make(True) for name in tasks}
    return CrossStitchNet(trunks, _heads(spec, tasks, next(iter(trunks.values())).widths))


def _heads(spec: TrunkSpec, tasks: Mapping[str, Task], widths: Sequence[int]) -> dict[str, AtStage]:
    """Return the head of each task, on the features of every stage."""
    return {name: _head(spec, task, widths[: spec.head_stage.get(name, len(widths))]) for name, task in tasks.items()}


def _head(spec: TrunkSpec, task: Task, widths: Sequence[int]) -> AtStage:
    unet = spec.head == "unet" and task.field.dense
    head = build_head(task, spec.head, widths if unet else widths[-1], spec.head_width)
    return AtStage(head, len(widths) - 1, unet)


class Attending(nn.Module):
    """The masks of one task on every stage, then its head, after MTAN (Liu et al., arXiv 1803.10704).

    a_j = σ(g_j([f_j, h_j(a_{j-1})])) ⊙ f_j, with f_j the features of stage j, g_j two 1×1 convolutions and h_j one of
    3×3 at the size of the stage. The paper reads f_j from inside the stage to make its mask; here both are its result.
    """

    def __init__(self, widths: Sequence[int], head: AtStage) -> None:
        super().__init__()
        before = [0, *widths[:-1]]
        self.masks = nn.ModuleList(_mask(width + carried, width) for width, carried in zip(widths, before, strict=True))
        self.carry = nn.ModuleList(
            nn.Sequential(conv_norm(earlier, earlier, 3), nn.ReLU()) for earlier, _ in pairwise(widths)
        )
        self.head = head

    @property
    def out(self) -> nn.Module:
        """The last layer of the head."""
        return self.head.out

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        """Return what the head gives on the masked features."""
        masked = [self.masks[0](levels[0]) * levels[0]]
        for carry, mask, level in zip(self.carry, self.masks[1:], levels[1:], strict=True):
            carried = functional.adaptive_avg_pool2d(carry(masked[-1]), (level.shape[-2], level.shape[-1]))
            masked.append(mask(torch.cat([level, carried], 1)) * level)
        prediction: Tensor = self.head(tuple(masked))
        return prediction


def _mask(inputs: int, outputs: int) -> nn.Sequential:
    inside = max(outputs // 2, 1)
    return nn.Sequential(conv_norm(inputs, inside, 1), nn.ReLU(), conv_norm(inside, outputs, 1), nn.Sigmoid())


class CrossStitchNet(WithHeads):
    """A trunk per task, whose features are mixed after every stage (Misra et al., arXiv 1604.03539).

    x_s ← Σ_t α_st x_t with one learned α per pair of tasks and stage; α_ss begins at KEPT, and rows sum to 1.
    """

    towers: nn.ModuleDict

    def __init__(self, towers: Mapping[str, Trunk], heads: Mapping[str, nn.Module]) -> None:
        super().__init__({"towers": nn.ModuleDict(towers)}, heads)
        self.stages = len(next(iter(towers.values())).widths)
        tasks = len(towers)
        start = torch.full((tasks, tasks), (1 - KEPT) / max(tasks - 1, 1)).fill_diagonal_(KEPT)
        self.stitches = nn.ParameterList([nn.Parameter(start.clone()) for _ in range(self.stages)])

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, C, H, W) → {dense task: (B, outputs, H, W), other task: (B, outputs)}."""
        size = images.shape[-2:]
        towers: dict[str, Trunk] = {name: tower for name, tower in self.towers.items() if isinstance(tower, Trunk)}
        states = [tower.begin(images) for tower in towers.values()]
        levels: dict[str, list[Tensor]] = {name: [] for name in towers}
        for stage, alpha in enumerate(self.stitches):
            stepped = [tower.step(stage, state) for tower, state in zip(towers.values(), states, strict=True)]
            states = [sum(alpha[own, other] * x for other, x in enumerate(stepped)) for own in range(len(stepped))]
            for (name, tower), state in zip(towers.items(), states, strict=True):
                levels[name].append(tower.shown(stage, state, size))
        return {name: to_size(head(tuple(levels[name])), size) for name, head in self.heads.items()}
