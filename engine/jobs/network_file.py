"""What builds the dense network of a run: `weights/network.json`, and for a network of the user's own its architecture.

    network.json    {network (the spec of it), tasks {name: field}, channels (of the images)}, where the
                    optimiser's parameters are in another order than the network's `parameters` (their names), and for a
                    network of the user's own `code` ("": it is described in `architecture`, else why it is not)
    architecture/   the network without code (engine.export.saving), with the weights that it began with

Whatever is done with the run's result, prune, explain, export, reads the architecture, so that the user's code is
neither needed nor run. Where it cannot be described, the code is, if it is confirmed on this machine.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from winnow.data.recorded import RecordedField
from winnow.data.sample import Field
from winnow.engine.export import NotDescribable, NotSame, load_model, save_model
from winnow.engine.graph.calls import calls, outputs, run
from winnow.engine.graph.modes import evaluating
from winnow.engine.jobs.loop_values import unlike_float32
from winnow.engine.networks.multitask import build_network
from winnow.engine.runs.files import replace_json
from winnow.engine.runs.reading import read_object, taken_apart
from winnow.engine.specs.network import RecordedSpec, parse_network
from winnow.engine.tasks.task import Task
from winnow.engine.training.state import Training

ARCHITECTURE, NETWORK = "architecture", "network.json"


def write_network(folder: Path, training: Training, example: Tensor) -> str:
    """Write what builds the network of a training into its folder of weights; return what there is to say, or ""."""
    folder.mkdir(exist_ok=True)
    spec = training.spec.network
    document: dict[str, Any] = {
        "network": spec.model_dump(mode="json"),
        "tasks": {name: asdict(task.field) for name, task in training.tasks.items()},
        "channels": int(example.shape[1]) if isinstance(example, Tensor) and example.dim() > 1 else 0,  # of images
    }
    message = ""
    if not spec.ours:
        message = _describe(folder, training.graph.model, example)
        document["code"] = message
    if not spec.ours or training.spec.optimiser.rate:
        document["parameters"] = _in_order(training)
    replace_json(folder / NETWORK, document)
    return message


def still_described(folder: Path, training: Training, example: Any) -> str:
    """Compare a recorded network with its architecture once its loop has ended; return what there is to say, or "".

    One that was changed meanwhile, by a hook or another setting of a layer, is not offered to be pruned or explained.
    """
    document, net = read_document(folder), training.graph.model
    if document["code"] or unlike_float32(net):
        return ""
    given = _noise(example).to(training.device) if isinstance(example, Tensor) else example
    if _same(net, load_model(folder / ARCHITECTURE).to(training.device), given):
        return ""
    document["code"] = (
        "it was changed while it was recorded, so that the one that was stored gives other outputs. Make changes "
        "before record()."
    )
    replace_json(folder / NETWORK, document)
    return f"its network cannot be pruned or explained: {document['code']}"


def _same(net: nn.Module, stored: nn.Module, given: Any) -> bool:
    """Return whether two networks with the weights of the first have the same outputs, up to the order of sums."""
    try:
        stored.load_state_dict(net.state_dict())
    except RuntimeError:  # other names or shapes
        return False
    found, call = [], calls(net, given)[0]
    with torch.random.fork_rng([]), torch.no_grad():
        for model in (net, stored):
            with evaluating(model):
                found.append(dict(outputs(model, run(model, call))))
    one, two = found
    return one.keys() == two.keys() and all(
        torch.allclose(own, two[name], 1e-3, 1e-4, equal_nan=True) for name, own in one.items()
    )


def _noise(example: Tensor) -> Tensor:
    """Return noise of an example's form, for an example may be zeros, which tell little; whole numbers stay."""
    if not example.is_floating_point():
        return example
    return torch.randn(example.shape, generator=torch.Generator().manual_seed(0)).to(example)


def _in_order(training: Training) -> list[str]:
    """Return the names of the network's parameters in the order of the optimiser."""
    names = {id(parameter): name for name, parameter in training.net.named_parameters()}
    groups = training.proximal.optimizer.param_groups
    return [names.get(id(parameter), "") for group in groups for parameter in group["params"]]


def _describe(folder: Path, net: nn.Module, example: Tensor) -> str:
    """Write the architecture once; return why it cannot be written, or ""."""
    if (folder / ARCHITECTURE / "architecture.json").is_file():
        return ""
    if found := unlike_float32(net):
        return f"its numbers are {found}, and images are read as float32."
    try:
        save_model(folder / ARCHITECTURE, net, example)
    except (NotDescribable, NotSame) as error:
        return f"its network cannot be stored without your code: {error}"
    return ""


def read_network(folder: Path, document: Mapping[str, Any], tasks: Mapping[str, Task]) -> nn.Module:
    """Return the dense network of a run, with weights that are to be replaced.

    Raises:
        ValueError: a network of the user's own that is not described, and whose code is missing or not confirmed.

    """
    spec = parse_network(document["network"])
    if isinstance(spec, RecordedSpec) and document.get("code"):
        raise ValueError(
            f"`run` must hold its network to be pruned or explained, got one without it, because {document['code']} Do "
            "it in your own loop: `compact(net, example)`, `relevance(net, batches)`."
        )
    if spec.ours or document.get("code"):
        return build_network(spec, tasks, document["channels"])
    return load_model(folder / ARCHITECTURE)


def read_document(folder: Path) -> dict[str, Any]:
    """Return what network.json holds.

    Raises:
        OSError, ValueError: it is missing or damaged.

    """
    return read_object(folder / NETWORK)


def fields_of(document: Mapping[str, Any]) -> dict[str, Field]:
    """Return what is known about each task."""
    with taken_apart(Path(NETWORK)):
        return {name: _field(values) for name, values in document["tasks"].items()}


def _field(values: Mapping[str, Any]) -> Field:
    return RecordedField.model_validate(values).field()
