"""The metric of an optimiser: how far its step moves the weights for a unit of gradient, and that step itself.

A proximal step is right only in the metric of the step before it. Per optimiser:

- SGD: the step length is η. Torch's heavy-ball buffer grows to ∇F/(1−μ), so with momentum it is η (1−dampening)/(1−μ).
- Adam, AdamW: elementwise η/(√v̂ + ε), in which the prox has no closed form. Here the metric is constant within each
  group, D_g = √(mean of v̂ over g) + ε, or, where groups overlap, within each parameter; the step is taken in it too.
  With `amsgrad`, v̂ is the largest so far.

Where the members of a group have learning rates of their own, each has its own step length, η_m/D_g for Adam.

While v̂ is exactly 0, nothing is known of a weight (its gradient has always been 0: a scale that starts at zero, a task
without labels). η/ε would be a step length by which any penalty kills the group. So a channel without v̂ takes the
metric of its layer, a parameter without v̂ that of the other members of its groups, and where these have none either the
length is 0. Such weights have no smooth step in any metric, so that the fixed point stays the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from winnow.engine.sparsity.groups import Bank, Joint
from winnow.engine.sparsity.groups.axis import wide_type
from winnow.engine.sparsity.moments import Homes, Settings, advance, risen, second


@dataclass(frozen=True)
class Part:
    """Banks whose prox is taken at once: their places among all banks, and the step length, see `penalties`."""

    bank: Bank | Joint
    places: tuple[int, ...]
    length: Tensor


def sgd_length(settings: Settings) -> Any:
    """Return SGD's step length: a number, or a scalar tensor where the rate is one."""
    momentum = settings["momentum"]
    return settings["lr"] * ((1 - settings["dampening"]) / (1 - momentum) if momentum else 1.0)


def has_one_rate(optimizer: Optimizer) -> bool:
    """Return whether all param_groups take steps of one length, whatever the gradients are."""
    return len({_step_of(optimizer, settings) for settings in optimizer.param_groups}) == 1


def differs_by_member(optimizer: Optimizer, parameters: Sequence[nn.Parameter], known: Homes) -> bool:
    """Return whether the members of a bank take steps of different lengths, whatever the gradients are."""
    return len({_step_of(optimizer, known[parameter]) for parameter in parameters}) > 1


def _step_of(optimizer: Optimizer, settings: Settings) -> Any:
    return _plain(sgd_length(settings)) if isinstance(optimizer, SGD) else _rate(settings)


class Steps:
    """Takes the smooth step of the banks of one optimiser, and says how long it was.

    `overlap`: the banks share parameters. `shares` are parameters that are part of a larger one, and which part: the
    other entries are zero and count in the means. Joint banks are kept from step to step.
    """

    def __init__(self, banks: Sequence[Bank], overlap: bool, shares: Mapping[nn.Parameter, float]) -> None:
        self._banks, self._overlap, self._shares = banks, overlap, shares
        self._own = [bank.parameters for bank in banks]
        self._kinds = [(bank.all_members[0].parameter.device, bank.kind_of_vectors) for bank in banks]
        self._joints: dict[tuple[int, ...], Joint] = {}

    def sgd(self, known: Homes, active: Sequence[int]) -> list[Part]:
        """Return the lengths of a step that torch has taken."""
        alike: dict[Any, list[int]] = {}
        found = []
        plain: dict[int, Any] = {}
        for place in active:
            homes = {id(known[parameter]): known[parameter] for parameter in self._own[place]}
            for home, settings in homes.items():
                if home not in plain:
                    plain[home] = _plain(sgd_length(settings))
            if len({plain[home] for home in homes}) == 1:
                alike.setdefault((plain[next(iter(homes))], *self._kinds[place]), []).append(place)
            else:
                lengths = [sgd_length(known[parameter]) for parameter in self._own[place]]
                found.append(Part(self._banks[place], (place,), _by_member(self._banks[place], lengths)))
        for places in alike.values():
            first = self._banks[places[0]]
            length = torch.as_tensor(sgd_length(known[first.parameters[0]]), dtype=first.kind_of_vectors)
            found += [Part(bank, own, length) for bank, own in self._joined(places)]
        return sorted(found, key=lambda part: part.places)

    @torch.no_grad()
    def adam(self, optimizer: Optimizer, known: Homes, active: Sequence[int]) -> list[Part]:
        """Move what has a gradient by −(η/D) m̂, and return the lengths η/D."""
        fresh = dict.fromkeys(p for place in active for p in self._banks[place].parameters if p.grad is not None)
        advance(optimizer, fresh, known)
        if self._overlap:
            return self._adam_by_parameter(optimizer, known, active, fresh)
        alike: dict[Any, list[int]] = {}
        found = []
        for place in active:
            bank = self._banks[place]
            recipes = {_recipe(optimizer.state.get(p, {}), known[p]) for p in self._own[place]}
            if len(recipes) == 1 and None not in recipes:
                alike.setdefault((*recipes, *self._kinds[place]), []).append(place)
            else:
                found.append(Part(bank, (place,), _mixed_step(optimizer, bank, known, fresh)))
        for places in alike.values():
            found += [Part(bank, own, _common_step(optimizer, bank, known)) for bank, own in self._joined(places)]
        return sorted(found, key=lambda part: part.places)

    def _adam_by_parameter(
        self, optimizer: Optimizer, known: Homes, active: Sequence[int], fresh: Iterable[nn.Parameter]
    ) -> list[Part]:
        held = dict.fromkeys(p for place in active for p in self._banks[place].parameters)
        squares = {p: _mean_square(optimizer.state.get(p), p, known[p], self._shares.get(p, 1.0)) for p in held}
        for parameter in fresh:
            state, settings = optimizer.state[parameter], known[parameter]
            length = _length(squares[parameter].sqrt(), settings) / risen(state, settings, 0)
            parameter.sub_(state["exp_avg"] * length)
        return [
            Part(self._banks[place], (place,), _lengths_by_parameter(self._banks[place], known, squares))
            for place in active
        ]

    def _joined(self, places: Sequence[int]) -> Iterator[tuple[Bank | Joint, tuple[int, ...]]]:
        """Yield banks that take one step length each, as many at once as can be."""
        if self._overlap or len(places) == 1:
            yield from ((self._banks[place], (place,)) for place in places)
            return
        own = tuple(places)
        if own not in self._joints:
            self._joints[own] = Joint([self._banks[place] for place in places])
        yield self._joints[own], own


def _by_member(bank: Bank, lengths: Sequence[Any]) -> Tensor:
    """Return (members, channels) from one number per member."""
    device = bank.present.device
    each = [torch.as_tensor(length, dtype=bank.kind_of_vectors).to(device) for length in lengths]
    return torch.stack(each)[:, None].expand(-1, bank.channels)


def _common_step(optimizer: Optimizer, bank: Bank | Joint, known: Homes) -> Tensor:
    """Move banks whose members have one recipe by −(η/D_g) m̂ and return η/D_g: (channels,)."""
    own = bank.parameters
    settings, state = known[own[0]], optimizer.state[own[0]]
    mean = bank.sums([second(optimizer.state[p], settings) for p in own]) / (bank.size * risen(state, settings, 1))
    length = _length(_filled(mean, bank).sqrt(), settings)
    bank.move_(length / risen(state, settings, 0), [optimizer.state[p]["exp_avg"] for p in own])
    return length


def _mixed_step(optimizer: Optimizer, bank: Bank, known: Homes, fresh: Mapping[nn.Parameter, None]) -> Tensor:
    """Move a bank whose members differ (in their rates, or in how many steps they took) in one metric per group.

    Return its lengths: (members, channels), or (channels,) where they are the same for all members.
    """
    total, size = torch.zeros(bank.channels, dtype=bank.kind_of_vectors, device=bank.present.device), 0
    for axis, own_size in zip(bank.members, bank.sizes, strict=True):
        if state := optimizer.state.get(axis.parameter):
            settings = known[axis.parameter]
            total = total + axis.sums(second(state, settings)) / risen(state, settings, 1)
            size += own_size
    deviation = _filled(total / max(size, 1), bank).sqrt()
    lengths = [_length(deviation, known[parameter]) for parameter in bank.parameters]
    for axis, length in zip(bank.members, lengths, strict=True):
        if axis.parameter in fresh:
            state = optimizer.state[axis.parameter]
            axis.move_(length / risen(state, known[axis.parameter], 0), state["exp_avg"])
    alike = len({_rate(known[parameter]) for parameter in bank.parameters}) == 1
    return lengths[0] if alike else torch.stack(lengths)


def _lengths_by_parameter(bank: Bank, known: Homes, squares: Mapping[nn.Parameter, Tensor]) -> Tensor:
    """Return (members, channels): each parameter in its own metric, or, without evidence, in that of the others."""
    own = torch.stack([squares[parameter] for parameter in bank.parameters]).to(bank.present.device)
    evident = (own != 0).sum().clamp(min=1)
    deviations = torch.where(own == 0, own.sum() / evident, own).sqrt()
    lengths = [_length(deviation, known[p]) for deviation, p in zip(deviations, bank.parameters, strict=True)]
    return torch.stack(lengths)[:, None].expand(-1, bank.channels)


def _filled(mean: Tensor, bank: Bank | Joint) -> Tensor:
    """Return the mean squares of groups, (channels,), those that are 0 replaced by the mean of their bank's others."""
    if mean.device.type == "cpu" and not bool((mean == 0).any()):
        return mean
    parts = bank.rows(mean)
    return torch.where(mean == 0, bank.over(parts.sum(1) / (parts != 0).sum(1).clamp(min=1)), mean)


def _length(deviation: Tensor, settings: Settings) -> Tensor:
    """Return η/(√v̂ + ε), 0 where v̂ is."""
    length: Tensor = settings["lr"] / (deviation + settings["eps"])
    return length.masked_fill(deviation == 0, 0.0)


def _mean_square(state: Mapping[str, Tensor] | None, parameter: Tensor, settings: Settings, share: float) -> Tensor:
    """Return the mean of v̂ over a parameter, a scalar; 0 where there is none yet."""
    if not state:
        return torch.zeros((), dtype=wide_type(parameter.dtype), device=parameter.device)
    mean: Tensor = second(state, settings).mean() * share / risen(state, settings, 1)
    return mean


def _rate(settings: Settings) -> tuple[Any, ...]:
    return _plain(settings["lr"]), _plain(settings["eps"])


def _recipe(state: Mapping[str, Tensor], settings: Settings) -> tuple[Any, ...] | None:
    """Return all that the lengths of a parameter follow from but its v; None where that cannot be compared."""
    if not state or state["step"].device.type != "cpu":
        return None
    betas = tuple(float(beta) for beta in settings["betas"])
    return *_rate(settings), betas, bool(settings.get("amsgrad")), float(state["step"])


def _plain(value: Any) -> Any:
    """Return what tells a number from others: a rate on a GPU is not read, for that would wait for it."""
    if isinstance(value, Tensor) and value.device.type != "cpu":
        return id(value)
    return float(value)
