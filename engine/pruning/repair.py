"""One-shot repair: after channels were silenced, what reads the rest is fitted to what it gave before. No training.

`repair(model, dense, images)` sends calibration images once through the dense network and once through the silenced
one, all at the same time, layer after layer. On the way, two closed forms:

- **Readers.** A linear layer or convolution reads x in the silenced network, and gave y in the dense one. Its weights
  become W + Δ with Δ = argmin Σ ‖x(W + Δ)' + b + δ − y‖² + α n ‖Δ‖²: ridge regression towards the weights that it has,
  with α in units of the mean square of x. So the channels that stay take over what those that went had in common with
  them. Earlier layers are repaired before a later one is fitted, so it sees what it will read.
- **Batch norms.** Mean and variance become those of the calibration images in the repaired network. Ridge regression
  shrinks what a layer gives; this takes the shrinkage back.

No reader becomes worse unseen: it is fitted on three quarters of the images, α is the one that serves the last quarter
best, and where none serves it better than the weights as they are, these stay. Zeros stay zero, frozen parameters are
not written to, and a layer that runs more than once or shares its weight is left alone. Each decision is a row of the
result.

The closed form is that of He, Zhang & Sun 2017 (arXiv 1707.06168), there without ridge and layer by layer.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from winnow.engine.graph.calls import calls, run
from winnow.engine.graph.modes import evaluating, modules_called
from winnow.engine.pruning.closed_forms import Fit, LayerOutput, new_statistics, ridge_fit
from winnow.engine.pruning.readings import is_reader, sampled

RepairKind = Literal["norms", "readers", "both"]
ROWS_PER_COLUMN, FEWEST, MOST = 10, 4_096, 40_960  # places sampled for each column of a reader's weight, and bounds
COLUMNS = ["layer", "kind", "before", "after", "strength", "note"]


@torch.no_grad()
def repair(
    model: nn.Module, dense: nn.Module, example_inputs: Any, what: RepairKind = "both", seed: int = 0
) -> pd.DataFrame:
    """Repair a silenced model in place: fit its layers to the outputs of those of the dense model.

    Args:
        model: a copy of `dense` in which channels were set to zero (`engine.pruning.masking.silence`).
        dense: the model before channels were set to zero.
        example_inputs: calibration inputs, all in one batch; a tensor, several, or a `Call`.
        what: batch norms, readers, or both.
        seed: of the positions that are drawn.

    Returns:
        A row for each layer in the order in which they run: layer, kind (reader, norm), before and after (squared error
        of its output on the images that judge, ÷ the variance of the dense output), strength (α; NaN where the weights
        stay), note (why a layer was left alone).

    Raises:
        ValueError: the models differ in a layer, or `example_inputs` are several calls.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> inputs = torch.randn(64, 4)
        >>> masked = silence(net, coupled_groups(net, inputs)[:1])
        >>> rows = repair(masked, net, inputs)
        >>> bool((rows["after"] <= rows["before"]).all())
        True
        >>> masked[2].weight[:, 0].count_nonzero().item()  # zeros stay zero
        0

    """
    given = calls(model, example_inputs)
    if len(given) != 1:
        raise ValueError(f"`example_inputs` must be one call, got {len(given)}. Put all images into one batch.")
    _refuse_other(model, dense)
    chosen = {name: module for name, module in model.named_modules() if _repairable(module, what)}
    with evaluating(model), evaluating(dense), modules_called():
        wanted = _observed(dense, chosen, lambda: run(dense, given[0]), seed)
        rows = _repaired(chosen, wanted, lambda: run(model, given[0]))
    return pd.DataFrame(rows, columns=COLUMNS)


def _refuse_other(model: nn.Module, dense: nn.Module) -> None:
    shapes, own = ({name: tuple(value.shape) for name, value in net.state_dict().items()} for net in (dense, model))
    if other := sorted({*shapes.items()} ^ {*own.items()}):
        raise ValueError(
            f"`model` must have the layers of `dense`, got {other[0][0]} in another shape or in one alone."
        )


def _repairable(module: nn.Module, what: RepairKind) -> bool:
    if isinstance(module, _BatchNorm):
        return what != "readers"
    return what != "norms" and is_reader(module)


def _observed(
    dense: nn.Module, chosen: Mapping[str, nn.Module], go: Callable[[], object], seed: int
) -> dict[str, LayerOutput]:
    """Return what each layer gives in the dense model, at sampled places."""
    found: dict[str, LayerOutput] = {}
    generator = torch.Generator().manual_seed(seed)

    def look(name: str, layer: nn.Module, output: Tensor) -> None:
        if name in found:
            found[name].runs += 1
            return
        linear = isinstance(layer, nn.Linear)
        columns = 0 if isinstance(layer, _BatchNorm) else layer.get_parameter("weight")[0].numel()
        count = min(max(ROWS_PER_COLUMN * columns, FEWEST), MOST)
        places = sampled(output, linear, count, generator)
        found[name] = LayerOutput(places, places.outputs(output, linear))

    layers = {name: dense.get_submodule(name) for name in chosen}
    _run_with(
        [
            layer.register_forward_hook(lambda own, _, out, name=name: look(name, own, out))
            for name, layer in layers.items()
        ],
        go,
    )
    return found


def _repaired(
    chosen: Mapping[str, nn.Module], wanted: Mapping[str, LayerOutput], go: Callable[[], object]
) -> list[list[object]]:
    """Run the silenced model once and repair each layer as its input arrives; return the rows of the table."""
    rows: dict[str, list[object]] = {}
    shared = _shared_weights(chosen)

    def mend(name: str, layer: nn.Module, args: tuple[Any, ...]) -> None:
        if name in rows or name not in wanted or not args:
            return
        why = _left_alone(layer, wanted[name], name in shared)
        fit = Fit() if why else _fit(layer, args[0], wanted[name])
        kind = "norm" if isinstance(layer, _BatchNorm) else "reader"
        rows[name] = [name, kind, fit.before, fit.after, fit.strength, why]

    _run_with(
        [
            layer.register_forward_pre_hook(lambda own, args, name=name: mend(name, own, args))
            for name, layer in chosen.items()
        ],
        go,
    )
    return [*rows.values()]


def _fit(layer: nn.Module, given: Tensor, seen: LayerOutput) -> Fit:
    if isinstance(layer, _BatchNorm):
        return new_statistics(layer, given, seen)
    return ridge_fit(layer, given, seen) if is_reader(layer) else Fit()


def _run_with(hooks: list[RemovableHandle], go: Callable[[], object]) -> None:
    try:
        go()
    finally:
        for hook in hooks:
            hook.remove()


def _shared_weights(chosen: Mapping[str, nn.Module]) -> set[str]:
    """Return the layers whose weight is another layer's as well."""
    owners: dict[int, list[str]] = {}
    for name, layer in chosen.items():
        for parameter in layer.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(name)
    return {name for names in owners.values() if len(names) > 1 for name in names}


def _left_alone(layer: nn.Module, seen: LayerOutput, shared: bool) -> str:
    """Say why a layer is not repaired, "" where it is."""
    own = [*layer.parameters(recurse=False)]
    if own and not any(parameter.requires_grad for parameter in own):
        return "frozen"
    if isinstance(layer, _BatchNorm) and layer.running_mean is None:
        return "keeps no statistics"
    if seen.runs > 1:
        return f"runs {seen.runs} times"
    return "shares its weight" if shared else ""
