"""Whether two forms of a model train the same parameters: a region without gradients is easily lost on the way."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from winnow.engine.graph.calls import Call, in_modes, outputs, run
from winnow.engine.graph.modes import in_mode
from winnow.engine.graph.sized import Context
from winnow.engine.pruning.precision import private
from winnow.engine.pruning.proof import NotExact


def same_gradients(model: nn.Module, small: nn.Module, calls: Sequence[Call]) -> None:
    """Compare which parameters a program trains with those that the model trains, in every mode of every call.

    Raises:
        NotExact: a parameter gets a gradient in one and none in the other, as behind a lost `torch.no_grad()`.

    """
    for call in in_modes(calls):
        try:
            expected = _trained(private(model), call)
        except Exception:  # noqa: BLE001 - a model that does not train on this call: nothing to compare
            continue
        try:
            found = _trained(private(small), call)
        except Exception as error:
            raise NotExact(f"`model` must train when it is compacted, got {error}.") from error
        if wrong := [name for name in found if expected.get(name) != found[name]]:
            raise NotExact(
                f"`model` must train the same parameters when it is compacted, got another gradient at {wrong[0]}. "
                "Keep the model as it is."
            )


@contextmanager
def where_asked(contexts: Iterable[Context]) -> Iterator[bool]:
    """Give whether a model's code asks if gradients are on, and say so in what is refused inside.

    Raises:
        NotExact: it was raised inside.

    """
    asked = next((context.place for context in contexts if context.kind == "gradients"), None)
    try:
        yield asked is not None
    except NotExact as error:
        raise NotExact(f"{error} It was run with gradients on, which its code asks for ({asked}).") from error


def _trained(model: nn.Module, call: Call) -> Mapping[str, bool]:
    """Return which parameters get a gradient from the outputs; {} where there is none at all."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    with torch.enable_grad(), torch.random.fork_rng(devices=[]), in_mode(model, bool(call.training)):
        leaves = [leaf for _, leaf in outputs(model, run(model, call)) if leaf.requires_grad]
        if not leaves or not parameters:
            return dict.fromkeys(parameters, False)
        total = torch.stack([leaf.double().sum().to(leaves[0].device) for leaf in leaves]).sum()
        for parameter in parameters.values():
            parameter.grad = None
        total.backward()  # type: ignore[no-untyped-call] # and not autograd.grad, which some checkpoints refuse
    return {name: parameter.grad is not None for name, parameter in parameters.items()}
