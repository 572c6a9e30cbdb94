"""How sparse is it? The shares of groups, parameters and MACs that dead groups make zero, from which groups live.

One parameter may lie in the groups of the channels that it reads and in those that it writes (`coupled` groups). Its
entries are non-zero where both live, so that the living part is the product of the living parts of its two axes.
MACs follow the weight that makes them; biases and norms make none.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.sparsity.groups import Axis, Bank

Of = Literal["group", "parameter", "mac"]
TargetOf = Literal["group", "parameter", "mac", "latency", "memory"]
Saved = Callable[[Sequence[Tensor]], float]


class Counts:
    """How many groups, parameters and MACs of the banks of a model are zero.

    `macs` are those of one image, by the name of a weight (`weight_macs`), or of its module where that has one weight
    with MACs (`layer_macs`). Everything is relative to the penalised
    parameters: those that lie in a group and can move. The flags `requires_grad` are read at each call
    where the banks are those of a `Proximal`. `predicted` are shares of latency and memory, by their name, where they
    are known: those of the whole network (`engine.measure.predicted_cost`).

    Raises:
        ValueError: banks of another model, or a model whose parameters are sharded.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 2))
        >>> net[0].weight.data[:, 0] = 0
        >>> found = banks(input_groups(net))
        >>> counts = Counts(net, found, layer_macs(net, torch.ones(1, 4)))
        >>> counts.percent("mac", [bank.norms() > 0 for bank in found])
        25.0

    """

    def __init__(self, model: nn.Module, banks: Sequence[Bank], macs: Mapping[str, float]) -> None:
        self.banks = list(banks)
        inside, _ = unwrapped(model)
        self._names = {id(p): name for name, p in inside.named_parameters()}
        if foreign := [bank.layer for bank in self.banks for p in bank.parameters if id(p) not in self._names]:
            raise ValueError(
                f"`banks` must be those of `model`, got weights of another one in {foreign[0]}. Where the model was "
                "copied or a layer replaced, make the groups again."
            )
        self._macs = macs
        matrices = [name.rpartition(".")[0] for name, p in inside.named_parameters() if p.dim() > 1]
        self._several = {module for module, count in Counter(matrices).items() if count > 1}
        self.predicted: dict[str, Saved] = {}
        self._counted: tuple[Axis, ...] = ()
        self._count()

    def _count(self) -> None:
        """Look at which members can move, unless they are those of the last time."""
        moving = [bank.members if bank.moves else () for bank in self.banks]
        counted = tuple(axis for members in moving for axis in members)
        if counted == self._counted:
            return
        self._counted = counted
        self._places: dict[int, list[tuple[int, int, float]]] = {}
        self._weights: dict[int, tuple[float, float]] = {}
        self._groups = sum(bank.count for bank in self.banks if bank.moves)
        for i, members in enumerate(moving):
            for axis in members:
                key, matrix = id(axis.parameter), axis.parameter.dim() > 1
                self._places.setdefault(key, []).append((i, axis.axis, _share(axis)))
                self._weights[key] = (
                    float(axis.parameter.numel()),
                    self._macs_of(self._names.get(key, "")) if matrix else 0.0,
                )

    @property
    def without_macs(self) -> list[str]:
        """The modules whose MACs are not known, so that no share of MACs is either."""
        self._count()
        unknown = [key for key, (_, macs) in self._weights.items() if math.isnan(macs)]
        return [self._names[key].rpartition(".")[0] if key in self._names else "no module" for key in unknown]

    def _macs_of(self, name: str) -> float:
        module = name.rpartition(".")[0]
        of_module = math.nan if module in self._several else self._macs.get(module, math.nan)
        return self._macs.get(name, of_module)

    def percent(self, of: TargetOf, alive: Sequence[Tensor]) -> float:
        """Return the share [%] that is zero when only the groups marked in `alive`, (channels,) per bank, live.

        0 where nothing can move; NaN for MACs that are not known.

        Raises:
            ValueError: a share of latency or memory that nothing predicts.

        """
        if of in ("latency", "memory"):
            if of not in self.predicted:
                raise ValueError(
                    f"`of` must be group, parameter or mac where nothing predicts a share of {of}, got {of}. Enter "
                    f"`engine.measure.predicted_cost.predicted_{of}` in `predicted`."
                )
            return self.predicted[of](alive)
        if of not in ("group", "parameter", "mac"):
            raise ValueError(f"`of` must be group, parameter, mac, latency or memory, got {of!r}.")
        self._count()
        if of == "group":
            pairs = [(mask, bank) for mask, bank in zip(alive, self.banks, strict=True) if bank.moves]
            living = sum(int((mask & bank.present).sum()) for mask, bank in pairs)
            return 100 * (1 - living / max(self._groups, 1)) if pairs else 0.0
        place = 0 if of == "parameter" else 1
        counts = [float((mask | ~bank.present).sum()) for mask, bank in zip(alive, self.banks, strict=True)]
        total = sum(weights[place] for weights in self._weights.values())
        left = sum(weights[place] * self._living(key, counts) for key, weights in self._weights.items())
        return 100 * (1 - left / total) if total else 0.0

    def all_percents(self, alive: Sequence[Tensor]) -> dict[str, float]:
        """Return {group_sparsity, parameter_sparsity, mac_sparsity} [%]."""
        kinds: tuple[Of, ...] = ("group", "parameter", "mac")
        return {f"{of}_sparsity": self.percent(of, alive) for of in kinds}

    def _living(self, key: int, counts: Sequence[float]) -> float:
        """Return the living part of a parameter, from how many channels of each bank live."""
        covered, living = {0: 0.0, 1: 0.0}, {0: 0.0, 1: 0.0}
        for i, axis, share in self._places[key]:
            covered[axis] += share
            living[axis] += share * counts[i] / self.banks[i].channels
        return (living[0] + 1 - covered[0]) * (living[1] + 1 - covered[1])


def _share(axis: Axis) -> float:
    """Return the part of its parameter that an axis covers: 1, or less where others hold the rest of the channels."""
    return axis.size * axis.channels / axis.parameter.numel()


def living(norms: Sequence[Tensor]) -> list[Tensor]:
    """Return which groups live, (channels,) per bank; one whose norm is NaN is no zero."""
    return [values != 0 for values in norms]


def share_alive(banks: Sequence[Bank], norms: Sequence[Tensor]) -> float:
    """Return the part of the groups that live, by their norms, (channels,) per bank; NaN where there is no group."""
    groups = torch.cat([bank.present.to(own.device) for bank, own in zip(banks, norms, strict=True)])
    return float((torch.cat(list(norms))[groups] != 0).float().mean())


def strongest(bank: Bank, scores: Tensor) -> Tensor:
    """Return the places of the `bank.floor` groups with the highest scores."""
    return torch.topk(scores.masked_fill(~bank.present, -torch.inf), bank.floor).indices
