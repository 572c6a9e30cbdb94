"""A model with shuffled weights: what an explanation says about it cannot come from what the tasks have taught.

The non-zero entries of every weight are permuted at random (after Adebayo et al., arXiv 1810.03292). Norms, zeros and
the statistics of batch norms stay the same, so that neither scale nor sparsity tells the two models apart. First the
heads alone are shuffled, then the last quarter, half, three quarters and all of the shared layers too.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pandas as pd
import torch
from torch import nn

from winnow.engine.explain.checks.agreement import compared_ranks
from winnow.engine.explain.relevance.means import Means
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.relevance import probe_relevance
from winnow.engine.explain.relevance.sites import Site
from winnow.engine.sparsity.groups import input_groups
from winnow.engine.specs.explain import Method

PARTS = 4


def randomisations(
    probed: Probe, method: Method, relevance: pd.DataFrame, means: Means, after: Callable[[], None] = lambda: None
) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Return, for every stage of shuffling, its figures and the relevance of the shuffled model.

    `means` are those of the model itself; where the trunk is shuffled, they are measured again, in the same pass where
    the method allows it. `after` is called after each stage.
    """
    quick = replace(probed, settings=replace(probed.settings, bootstrap=1))
    found = []
    for name, parameters in stages(probed):
        with shuffled(parameters, probed.settings.seed):
            frame = probe_relevance(quick, method, means if name == "head_randomisation" else None)
        raw = f"{name}_raw" if name == "head_randomisation" else ""
        figures = compared_ranks(relevance, frame, (name, raw))
        found.append((figures[figures["figure"] != ""], frame))
        after()
    return found


def stages(probe: Probe) -> list[tuple[str, list[nn.Parameter]]]:
    """Return the weights that each stage shuffles, with those of earlier stages: `head_randomisation`, `cascade_1` ….

    Shared layers are the sites of the probe and everything in `model.trunk`; without a trunk, the sites alone.
    """
    shared = _shared(probe)
    known = {id(parameter) for parameter in shared}
    heads = [group[0] for group in _weights(probe.model) if id(group[0]) not in known]
    found = [("head_randomisation", heads)] if heads else []
    for part in range(1, PARTS + 1):
        first = len(shared) - round(len(shared) * part / PARTS)
        found.append((f"cascade_{part}", [*heads, *shared[first:]]))
    return found


@contextmanager
def shuffled(parameters: Sequence[nn.Parameter], seed: int) -> Iterator[None]:
    """Permute the non-zero entries within each parameter; put them back afterwards, to the bit."""
    chance = torch.Generator().manual_seed(seed)
    with ExitStack() as stack:
        for parameter in parameters:
            stack.enter_context(_one(parameter, chance))
        yield


@contextmanager
def _one(parameter: nn.Parameter, chance: torch.Generator) -> Iterator[None]:
    kept = parameter.detach().clone()
    with torch.no_grad():
        places = parameter.flatten().nonzero()[:, 0]
        order = torch.randperm(len(places), generator=chance).to(places.device)
        values = kept.flatten().index_copy(0, places, kept.flatten()[places[order]])
        parameter.copy_(values.view_as(parameter))
    try:
        yield
    finally:
        with torch.no_grad():
            parameter.copy_(kept)


def _weights(model: nn.Module) -> list[tuple[nn.Parameter, str]]:
    """Return the weight of every convolution and linear layer, in order, with the layer's name."""
    found = {group.layer: group.members[0].parameter for group in input_groups(model)}
    return [(parameter, layer) for layer, parameter in found.items()]


def _shared(probe: Probe) -> list[nn.Parameter]:
    trunk = isinstance(getattr(probe.model, "trunk", None), nn.Module)
    own = {site.name for site in probe.sites if _reads(site)}
    return [
        parameter
        for parameter, layer in _weights(probe.model)
        if layer in own or (trunk and layer.startswith("trunk."))
    ]


def _reads(site: Site) -> bool:
    return site.axis is not None
