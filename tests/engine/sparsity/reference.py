"""The smooth step and the prox in float64, group by group and from the definitions: what `Proximal` is compared with.

Nothing is shared with the engine: moments, metrics and thresholds are written out, the general prox is found by
bisection, and that of the concave penalty by trying all points at which its minimum can be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Member = tuple[str, int]  # parameter, axis


@dataclass
class Reference:
    """`banks`: the members of each bank; `rule`: how the optimiser steps; `free`: parameters that are not frozen."""

    weights: dict[str, Tensor]
    banks: Sequence[Sequence[Member]]
    rule: Mapping[str, Any]
    penalty: Mapping[str, Any]
    overlap: bool
    free: frozenset[str]
    state: dict[str, dict[str, Any]] = field(default_factory=dict)

    def step(self, gradients: Mapping[str, Tensor | None]) -> None:
        """Take one step; parameters without a gradient are not moved by it."""
        own = [[m for m in bank if m[0] in self.free] for bank in self.banks]
        active = [bank for bank in own if any(gradients[name] is not None for name, _ in bank)]
        for name in {name for bank in active for name, _ in bank}:
            if gradients[name] is not None:
                self._remember(name, gradients[name])
        if self.rule["kind"] == "sgd":
            lengths = [[self._sgd_length()] * len(bank) for bank in active]
        else:
            lengths = self._adam(active, gradients)
        for bank, steps in zip(active, lengths, strict=True):
            self._prox(bank, steps)

    def _remember(self, name: str, slope: Tensor) -> None:
        rule, known = self.rule, self.state.setdefault(name, {"taken": 0})
        known["taken"] += 1
        if rule["kind"] == "sgd":
            mu = rule.get("momentum", 0.0)
            buffer = known["buffer"] = slope.clone() if known["taken"] == 1 else mu * known["buffer"] + slope
            self.weights[name] -= rule["lr"] * (slope + mu * buffer if rule.get("nesterov") else buffer)
            return
        known["m"] = 0.9 * known.get("m", 0 * slope) + 0.1 * slope
        known["v"] = 0.999 * known.get("v", 0 * slope) + 0.001 * slope**2
        known["seen"] = torch.maximum(known.get("seen", known["v"]), known["v"]) if rule.get("amsgrad") else known["v"]

    def _sgd_length(self) -> float:
        return self.rule["lr"] / (1 - self.rule.get("momentum", 0.0))

    def _adam(self, active: Sequence[Sequence[Member]], gradients: Mapping[str, Tensor | None]) -> list[list[Any]]:
        squares = {name: known["seen"] / (1 - 0.999 ** known["taken"]) for name, known in self.state.items()}
        means = {name: square.mean() for name, square in squares.items()}
        found, moved = [], set()
        for bank in active:
            if self.overlap:
                evident = [means[name] for name, _ in bank if name in means and means[name] > 0]
                other = sum(evident) / max(len(evident), 1)
                each = [
                    means[name] if name in means and means[name] > 0 else torch.as_tensor(other) for name, _ in bank
                ]
                alone = [means.get(name, torch.tensor(0.0)) for name, _ in bank]
            else:
                each = alone = [self._mean_of_groups(bank, squares)] * len(bank)
            found.append([self._length(square) for square in each])
            for (name, axis), square in zip(bank, alone, strict=True):
                if gradients[name] is not None and name not in moved:
                    moved.add(name)
                    mean = self.state[name]["m"] / (1 - 0.9 ** self.state[name]["taken"])
                    self.weights[name] -= _along(self._length(square), axis, mean) * mean
        return found

    def _mean_of_groups(self, bank: Sequence[Member], squares: Mapping[str, Tensor]) -> Tensor:
        known = [(squares[name], axis) for name, axis in bank if name in squares]
        total = sum(square.movedim(axis, 0).reshape(square.shape[axis], -1).sum(1) for square, axis in known)
        mean = total / sum(square.numel() // square.shape[axis] for square, axis in known)
        return torch.where(mean > 0, mean, mean.sum() / max(int((mean > 0).sum()), 1))

    def _length(self, square: Tensor) -> Tensor:
        return torch.where(square > 0, self.rule["lr"] / (square.sqrt() + 1e-8), 0.0)

    def _prox(self, bank: Sequence[Member], steps: Sequence[Any]) -> None:
        for channel in range(self.weights[bank[0][0]].shape[bank[0][1]]):
            slices = [self.weights[name].select(axis, channel) for name, axis in bank]
            own = [float(s if not torch.is_tensor(s) or s.dim() == 0 else s[channel]) for s in steps]
            size = sum(piece.numel() for piece in slices)
            for piece, new in zip(slices, proxed(slices, own, self.penalty, size**0.5), strict=True):
                piece.copy_(new)


def _along(length: Tensor, axis: int, like: Tensor) -> Tensor:
    return length if length.dim() == 0 else length.reshape([-1 if d == axis else 1 for d in range(like.dim())])


def proxed(slices: Sequence[Tensor], steps: Sequence[float], penalty: Mapping[str, Any], root: float) -> list[Tensor]:
    """Return argmin_z ½ Σ_m ‖z_m − w_m‖²/s_m + R(z) for one group."""
    kind, strength = penalty["kind"], penalty["strength"]
    soft = {"l1": strength, "sparse_group_lasso": strength * 0.5}.get(kind, 0.0)
    pieces = [w.sign() * (w.abs() - s * soft).clamp(min=0) for w, s in zip(slices, steps, strict=True)]
    if kind == "l1":
        return pieces
    if kind == "group_mcp":
        return _concave(pieces, steps[0], strength * root, 3.0)
    return _shrunk(pieces, [s * strength * root * (0.5 if soft else 1.0) for s in steps])


def _shrunk(pieces: Sequence[Tensor], thresholds: Sequence[float]) -> list[Tensor]:
    norms = [float(piece.norm()) for piece in pieces]

    def left(theta: float) -> float:
        return sum((n / (theta + t)) ** 2 for n, t in zip(norms, thresholds, strict=True) if n > 0)

    if all(n == 0 for n in norms):
        return list(pieces)
    low, high = 0.0, sum(n**2 for n in norms) ** 0.5
    if all(t > 0 for n, t in zip(norms, thresholds, strict=True) if n > 0) and left(0.0) <= 1:
        return [torch.zeros_like(piece) for piece in pieces]
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) > 1 else (low, middle)
    return [piece * (high / (high + t)) for piece, t in zip(pieces, thresholds, strict=True)]


def _concave(pieces: Sequence[Tensor], step: float, bound: float, gamma: float) -> list[Tensor]:
    norm = float(torch.cat([piece.flatten() for piece in pieces]).norm())
    if norm == 0 or step == 0:
        return list(pieces)

    def cost(t: float) -> float:
        capped = min(t, gamma * bound)
        return (t - norm) ** 2 / (2 * step) + bound * capped - capped**2 / (2 * gamma)

    points = [0.0, norm, gamma * bound]
    if step != gamma:
        points.append(min(max((norm - step * bound) / (1 - step / gamma), 0.0), gamma * bound))
    best = min(points, key=cost)
    return [piece * (best / norm) for piece in pieces]
