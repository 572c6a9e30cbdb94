"""Models of several or named inputs, or of nested outputs, seen as functions of one input with {task: tensor}."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from winnow.engine.graph.calls import Call, run
from winnow.engine.graph.containers import flatten
from winnow.engine.training.batches import Batch

OUTPUT = "output"  # the task of a model that returns one tensor


class Inputs(Call):
    """Positional and named inputs for a few samples: every tensor in them has the samples along its first axis."""

    def __len__(self) -> int:
        return len(self.tensors()[0][1])

    def __getitem__(self, samples: Any) -> Self:
        return self.changed(lambda tensor: tensor[samples])


class OneInput(nn.Module):
    """A model that takes a tensor or `Inputs` and returns {path: tensor}; its modules and their names are the model's.

    A single output is called `output`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.__dict__["_inner"] = model  # no child: the names stay as they are
        for name in ("_modules", "_parameters", "_buffers"):
            self.__dict__[name] = model.__dict__[name]
        self.training = model.training

    @property
    def training(self) -> bool:  # of torch, a plain attribute
        """The mode of the model itself."""
        inner = self.__dict__.get("_inner")
        return True if inner is None else bool(inner.training)

    @training.setter
    def training(self, value: bool) -> None:
        inner = self.__dict__.get("_inner")
        if inner is not None:
            inner.training = value

    def forward(self, inputs: Tensor | Inputs) -> dict[str, Tensor]:
        """Return the outputs of the model by their paths."""
        model = self.__dict__["_inner"]
        given = run(model, inputs) if isinstance(inputs, Inputs) else model(inputs)
        return {path or OUTPUT: tensor for path, tensor in flatten(given)}


def as_batch(given: Any) -> Batch:
    """Return a batch from a `Batch`, inputs with targets (inputs, {task: target}), or inputs alone.

    Inputs are one tensor, a mapping of named ones, or a tuple or list of positional ones.

    Raises:
        ValueError: the inputs hold no tensor, or their first axes differ.

    """
    if isinstance(given, Batch):
        return given
    targets: Mapping[str, Any] = {}
    if isinstance(given, list | tuple) and len(given) == 2 and isinstance(given[1], Mapping):
        given, targets = given
    if isinstance(given, Tensor):
        return Batch(given, dict(targets))
    inputs = Inputs(kwargs=given) if isinstance(given, Mapping) else Inputs(args=tuple(given))
    tensors = [tensor for _, tensor in inputs.tensors()]
    lengths = {len(tensor) if tensor.dim() else 0 for tensor in tensors}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            "`batches` must hold inputs with one sample per row of every tensor, got "
            f"{', '.join(str(tuple(tensor.shape)) for tensor in tensors) or 'no tensor'}. Put what is the same for all "
            "samples into the model."
        )
    held: Any = inputs
    return Batch(held, dict(targets))


def takes_one_input(model: nn.Module, batch: Batch) -> nn.Module:
    """Return the model, or `OneInput` of it where it takes several inputs or returns something but {task: tensor}."""
    plain = False
    if isinstance(batch.images, Tensor):
        with torch.no_grad():
            given = model(batch.images[:1])
        plain = isinstance(given, Mapping) and all(isinstance(tensor, Tensor) for tensor in given.values())
    return model if plain else OneInput(model)
