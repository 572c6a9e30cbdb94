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

from torch import Tensor, nn

from winnow.data.recorded import RecordedField
from winnow.data.sample import Field
from winnow.engine.export import NotDescribable, NotSame, load_model, save_model
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
