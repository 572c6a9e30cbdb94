"""Mixtures of experts in the forms that people write them in: MMoE, CGC and PLE."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT, HIDDEN, OUTPUT = 6, 5, 7


class Mlp(nn.Module):
    """An expert with a class of its own."""

    def __init__(self, inputs: int = INPUT, last: type[nn.Module] = nn.Identity) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2, self.last = (
            nn.Linear(inputs, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, OUTPUT),
            last(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.fc2(self.act(self.fc1(x))))


def sequential(inputs: int = INPUT) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Dropout(0.2), nn.Linear(HIDDEN, OUTPUT))


def single(inputs: int = INPUT) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, OUTPUT), nn.ReLU())


def normed(inputs: int = INPUT) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, OUTPUT), nn.LayerNorm(OUTPUT))


FORMS: dict[str, Callable[..., nn.Module]] = {
    "sequential": sequential,
    "class": Mlp,
    "rectified": lambda inputs=INPUT: Mlp(inputs, nn.ReLU),
    "one layer": single,
    "normed": normed,
}


def summed(weights: Tensor, parts: list[Tensor]) -> Tensor:
    return (weights.unsqueeze(-1) * torch.stack(parts, dim=1)).sum(1)


def behind(weights: Tensor, parts: list[Tensor]) -> Tensor:
    return (torch.stack(parts, -1) * weights.unsqueeze(1)).sum(-1)


def by_einsum(weights: Tensor, parts: list[Tensor]) -> Tensor:
    return torch.einsum("be,beo->bo", weights, torch.stack(parts, dim=1))


def by_bmm(weights: Tensor, parts: list[Tensor]) -> Tensor:
    return torch.bmm(weights.unsqueeze(1), torch.stack(parts, 1)).squeeze(1)


def by_matmul(weights: Tensor, parts: list[Tensor]) -> Tensor:
    return (torch.stack(parts, 2) @ weights.unsqueeze(-1)).squeeze(-1)


def in_a_loop(weights: Tensor, parts: list[Tensor]) -> Tensor:
    return sum(weights[:, place : place + 1] * part for place, part in enumerate(parts))


def joined(weights: Tensor, parts: list[Tensor]) -> Tensor:
    every = torch.cat([part.unsqueeze(1) for part in parts], 1)
    return torch.sum(every * weights[..., None], dim=1)


WAYS = {f.__name__: f for f in (summed, behind, by_einsum, by_bmm, by_matmul, in_a_loop, joined)}


class MMoE(nn.Module):
    """Multi-gate mixture of experts (Ma et al. 2018)."""

    def __init__(self, way: str, form: str = "sequential", count: int = 4, tasks: int = 2, bias: bool = True) -> None:
        super().__init__()
        self.mixed = WAYS[way]
        self.experts = nn.ModuleList(FORMS[form]() for _ in range(count))
        self.gates = nn.ModuleList(nn.Linear(INPUT, count, bias=bias) for _ in range(tasks))
        self.towers = nn.ModuleList(
            nn.Sequential(nn.Linear(OUTPUT, 4), nn.ReLU(), nn.Linear(4, 1)) for _ in range(tasks)
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        parts = [expert(x) for expert in self.experts]
        pairs = zip(self.gates, self.towers, strict=True)
        return {f"task{i}": tower(self.mixed(F.softmax(gate(x), -1), parts)) for i, (gate, tower) in enumerate(pairs)}


class Layer(nn.Module):
    """One level of progressive layered extraction (Tang et al. 2020): experts of each task, and shared ones."""

    def __init__(self, inputs: int, way: str, form: str, last: bool) -> None:
        super().__init__()
        self.mixed, self.last = WAYS[way], last
        self.shared = nn.ModuleList(FORMS[form](inputs) for _ in range(2))
        self.own = nn.ModuleDict({name: nn.ModuleList(FORMS[form](inputs) for _ in range(2)) for name in "ab"})
        self.gates = nn.ModuleDict({name: nn.Sequential(nn.Linear(inputs, 4), nn.Softmax(1)) for name in "ab"})
        self.gate = None if last else nn.Linear(inputs, 6)

    def forward(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        shared = [expert(given["shared"]) for expert in self.shared]
        own = {name: [expert(given[name]) for expert in self.own[name]] for name in "ab"}
        found = {name: self.mixed(self.gates[name](given[name]), own[name] + shared) for name in "ab"}
        if self.gate is not None:
            found["shared"] = self.mixed(self.gate(given["shared"]).softmax(dim=-1), own["a"] + own["b"] + shared)
        return found


class PLE(nn.Module):
    """Two levels of it, or the last one alone (CGC)."""

    def __init__(self, way: str, form: str = "sequential", levels: int = 2) -> None:
        super().__init__()
        widths = [INPUT] + [OUTPUT] * (levels - 1)
        self.levels = nn.ModuleList(Layer(n, way, form, i == levels - 1) for i, n in enumerate(widths))
        self.towers = nn.ModuleDict({name: nn.Linear(OUTPUT, 1) for name in "ab"})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        given = dict.fromkeys(("a", "b", "shared"), x)
        for level in self.levels:
            given = level(given)
        return {name: tower(given[name]) for name, tower in self.towers.items()}
