"""Captum's methods, at the same sites and for the same objectives as our own. The only file that imports Captum.

Captum attributes to every position. Here the attributions of an image are summed over positions, with their sign, and
the absolute value of the sum is taken, as in `taylor`.

| method                       | contribution of an activation a                  | the sum over all a                 |
|------------------------------|--------------------------------------------------|------------------------------------|
| `gradient_x_activation`      | a · ∂f/∂a; all layers in one call                |                                    |
| `conductance`                | ∫ ∂f/∂a · da, the images' path from the base     | f(x) − f(base) where all passes    |
| `layer_integrated_gradients` | (a − a') ∫ ∂f/∂a, a's own straight path          | f(x) − f(x, a' in a's place)       |
| `internal_influence`         | ∫ ∂f/∂a, the images' path                        |                                    |
| `deep_lift`                  | (a − a') · multiplier (rescale rule)             | f(x) − f(base) where all passes    |
| `feature_ablation`           | f(x) − f(x, μ_c in channel c's place)            | (the reference)                    |

a' is a at the base image: the mean colours with fill "mean", black with "zero" (`engine.explain.relevance.means`).
Conductance and DeepLift sum to f(x) − f(base) where every path passes the layer; for a reader inside a residual block,
the residual is what goes around it. `difference` and `residual` are means over images, so that
Σ_c signed + residual = difference exactly; only the three methods with such a sum have them.

Sources: Dhamdhere et al., arXiv 1805.12233; Sundararajan et al., 1703.01365; Leino et al., 1802.03788; Shrikumar et
al., 1704.02685.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from captum.attr import (
    InternalInfluence,
    LayerConductance,
    LayerDeepLift,
    LayerFeatureAblation,
    LayerGradientXActivation,
    LayerIntegratedGradients,
)
from torch import Tensor, nn

from winnow.engine.explain.relevance.frozen_model import frozen_model
from winnow.engine.explain.relevance.means import Means, base_image
from winnow.engine.explain.relevance.objectives import Objective
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.refusals import NotAttributableError, refuse_deep_lift, refuse_reuse
from winnow.engine.explain.relevance.scores import Scores
from winnow.engine.explain.relevance.sites import Gate, Site, gates_at, recorded
from winnow.engine.graph.modes import evaluating, modules_called, requiring_grad
from winnow.engine.graph.preserving import preserved
from winnow.engine.specs.explain import Method
from winnow.engine.training.batches import Batch

COMPLETE = ("conductance", "layer_integrated_gradients", "deep_lift")
INTEGRATING = {
    "conductance": LayerConductance,
    "layer_integrated_gradients": LayerIntegratedGradients,
    "internal_influence": InternalInfluence,
}


class _OfTask(nn.Module):
    """A task's number per image, (B,): Captum takes neither a dict nor a single number for the batch."""

    def __init__(self, model: nn.Module, task: str, objective: Objective) -> None:
        super().__init__()
        self.model, self.task, self.objective = model, task, objective

    def forward(self, images: Tensor, frozen: Tensor) -> Tensor:
        return self.objective.value(self.model(images)[self.task], frozen)


def captum_scores(method: Method, probe: Probe, means: Means, scores: Scores) -> None:
    """Add the contributions by a method of Captum's, for every site and task, to the scores.

    Raises:
        NotAttributableError: the method would silently give wrong numbers on this model.

    """
    with _held(method, probe.model), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum warns about the hooks that it sets
        _refuse(method, probe)
        base = base_image(probe)
        for batch in probe.batches():
            _Call(method, probe, means, batch, base).add_to(scores)


def _refuse(method: Method, probe: Probe) -> None:
    """Raise where the method would give wrong numbers."""
    example = next(probe.batches()).images
    if not isinstance(example, Tensor):
        raise NotAttributableError(f"`method` must be taylor for a model of several inputs, got {method}.")
    refuse_reuse(probe.model, {site.name: site.module for site in probe.sites}, example, method)
    if method == "deep_lift":
        if probe.settings.of == "loss":
            raise NotAttributableError("`of` must be output with deep_lift, got loss: its rules do not cover losses.")
        refuse_deep_lift(probe.model, example)


@contextmanager
def _held(method: Method, model: nn.Module) -> Iterator[None]:
    """Hold a model frozen; for DeepLift with its batch norms in place and with weights that all ask for gradients."""
    if method == "deep_lift":
        grads = requiring_grad(model.parameters(), wanted=True)
        with preserved(model) as state, evaluating(model), modules_called(), grads:
            yield
    else:
        with frozen_model(model) as state:
            yield
    if state.rewritten:  # each pass began where the one before had ended
        raise NotAttributableError(
            f"`method` must be taylor for a model whose forward pass writes into `{next(iter(state.rewritten))}`, got "
            f"{method}, which compares several passes."
        )


class _Call:
    """One method on one batch."""

    def __init__(self, method: Method, probe: Probe, means: Means, batch: Batch, base: Tensor) -> None:
        self.method, self.probe, self.means, self.images = method, probe, means, batch.images
        self.base = base.to(batch.images).expand_as(batch.images).contiguous()
        with torch.no_grad():
            given = probe.model(batch.images)
        self.frozen = {
            name: objective.freeze(given[name], batch.targets.get(name)) for name, objective in probe.objectives.items()
        }

    def add_to(self, scores: Scores) -> None:
        """Add this batch's contributions, and their signed sums where the method is complete."""
        by_task = [self._attributions(task) for task in self.probe.objectives]
        sums = [torch.cat([self._gathered(s, found[s.name]) for s in self.probe.sites], 1) for found in by_task]
        signed = _array(torch.stack(sums, 1))
        scores.add(np.abs(signed))
        if self.method in COMPLETE:
            scores.add_signed(signed, _array(self._differences()))

    def _gathered(self, site: Site, values: Tensor) -> Tensor:
        """Return (B, channels): the sum over positions; their mean for an ablation, which is equal at all of them."""
        flat = site.per_channel(values)
        return flat.mean(2) if self.method == "feature_ablation" else flat.sum(2)

    def _attributions(self, task: str) -> dict[str, Tensor]:
        function = _OfTask(self.probe.model, task, self.probe.objectives[task])
        frozen = self.frozen[task]
        with gates_at(self.probe.sites) as gates:
            if self.method == "gradient_x_activation":
                together = LayerGradientXActivation(function, list(gates.values()))
                given = together.attribute(self.images, additional_forward_args=(frozen,))
                return dict(zip(gates, (_one(part).detach() for part in given), strict=True))
            return {site.name: self._one_layer(function, site, gates[site.name], frozen) for site in self.probe.sites}

    def _one_layer(self, function: nn.Module, site: Site, gate: Gate, frozen: Tensor) -> Tensor:
        extra: dict[str, Any] = {"additional_forward_args": (frozen,)}
        if self.method == "feature_ablation":
            return self._ablated(function, site, gate, extra)
        if self.method == "deep_lift":
            return _one(LayerDeepLift(function, gate).attribute(self.images, self.base, **extra)).detach()
        kind: Any = INTEGRATING[self.method]
        steps = {"n_steps": self.probe.settings.steps, "internal_batch_size": max(len(self.images), 2)}
        return _one(kind(function, gate).attribute(self.images, self.base, **extra, **steps)).detach()

    def _ablated(self, function: nn.Module, site: Site, gate: Gate, extra: Mapping[str, Any]) -> Tensor:
        with torch.no_grad(), recorded([site]) as kept:
            function(self.images, *extra["additional_forward_args"])
            like = kept[site.name][0][:1]
        mask = site.shaped(torch.arange(site.channels), like.new_zeros(like.shape, dtype=torch.long))
        baseline = site.shaped(self.means[site.name], like).expand_as(like)
        ablation = LayerFeatureAblation(function, gate)
        with torch.no_grad():
            return _one(ablation.attribute(self.images, baseline, layer_mask=mask, **extra)).detach()

    @torch.no_grad()
    def _differences(self) -> Tensor:
        """Return f(x) − f(baseline) in the sense of the method, (B, tasks, sites)."""
        sites = self.probe.sites
        at_images, at_base = self._values(self.images), self._values(self.base)
        if self.method != "layer_integrated_gradients":
            return (at_images - at_base)[:, :, None].expand(-1, -1, len(sites))
        with recorded(sites) as kept:
            self.probe.model(self.base)
        return torch.stack([at_images - self._replaced(site, kept[site.name]) for site in sites], 2)

    def _replaced(self, site: Site, kept: Sequence[Tensor]) -> Tensor:
        with site.changing(lambda _: kept[0]):
            return self._values(self.images)

    def _values(self, images: Tensor) -> Tensor:
        given = self.probe.model(images)
        return torch.stack([o.value(given[name], self.frozen[name]) for name, o in self.probe.objectives.items()], 1)


def _one(given: Any) -> Tensor:
    """Return the one tensor in what Captum returns."""
    found: Tensor = given[0] if isinstance(given, tuple | list) else given
    return found


def _array(tensor: Tensor) -> "np.ndarray[Any, np.dtype[np.float32]]":
    found: np.ndarray[Any, np.dtype[np.float32]] = tensor.float().cpu().numpy()
    return found
