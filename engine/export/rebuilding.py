"""`rebuild(document, tensors)`: a model from pure data, or a refusal that names what is wrong.

Every name is a key of a table of what is allowed; every tensor has to be there, in the shape and type that both the
document and the layer say, and none may be left over. Nothing is evaluated, imported or unpickled.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.export.document import Document, Stored, checked
from winnow.engine.export.layers import built
from winnow.engine.export.rebuilt import Holder, Rebuilt, RebuiltOnImages
from winnow.engine.export.refusal import NotRebuildable
from winnow.engine.export.script import export_script
from winnow.engine.export.tensor_files import named_tensors


def rebuild(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return the model that a document describes, with the given tensors (by the names in the document).

    The tensors become the model's own. Each part is in the mode that it was in.

    Raises:
        NotRebuildable: the document is damaged, names what is not allowed, or does not fit the tensors.

    """
    form = checked(document)
    model = RebuiltOnImages() if len(form.inputs) == 1 else Rebuilt()
    model.training = form.training
    owned = _owned(form, tensors)
    for path, entry in form.layers.items():
        layer = built(path, entry.kind, entry.arguments)
        layer.training = entry.training
        _furnish(path, layer, owned)
        branch = _branch(model, path)
        _free(branch, path)
        branch.add_module(path.rpartition(".")[2], layer)
    steps = [*form.program, *(form.in_training.program if form.in_training else ())]
    for path in dict.fromkeys(step.target for step in steps if step.op == "tensor"):
        _hold(model, path, owned)
    for path, training in form.modes.items():
        _branch(model, f"{path}.training").training = training
    if left := set(owned) - _names(model):
        raise NotRebuildable(
            f"`tensors` must be only those of the layers and the program, got also {sorted(left)[0]!r}."
        )
    model._script = export_script(form)
    model._in_training = export_script(form, in_training=True) if form.in_training else None
    return model


def _owned(form: Document, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors as parameters and buffers, by all their names."""
    if left := set(tensors) - set(form.tensors):
        raise NotRebuildable(f"`tensors` must be only those that the document lists, got also {sorted(left)[0]!r}.")
    owned = {name: _adopted(name, entry, tensors.get(name)) for name, entry in form.tensors.items()}
    for name, first in form.tied.items():
        if name in owned or first not in form.tensors:
            raise NotRebuildable(f"`tied` must give a new name to a tensor of the document, got {name!r}: {first!r}.")
        owned[name] = owned[first]
    return owned


def _adopted(name: str, entry: Stored, tensor: Tensor | None) -> Tensor:
    if tensor is None:
        raise NotRebuildable(f"`tensors` must hold {name!r}, got no such tensor.")
    found = (list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
    if found != (entry.shape, entry.dtype):
        raise NotRebuildable(f"`{name}` must be {entry.shape}, {entry.dtype}, got {found[0]}, {found[1]}.")
    if (entry.channels_last and tensor.dim() != 4) or (entry.trainable and not tensor.is_floating_point()):
        raise NotRebuildable(
            f"`{name}` must be floating-point to be trainable, and 4-D to be channels-last, got {found}."
        )
    tensor = tensor.contiguous(memory_format=torch.channels_last) if entry.channels_last else tensor
    if entry.parameter:
        return nn.Parameter(tensor, entry.trainable)
    return tensor.requires_grad_(entry.trainable)


def _furnish(path: str, layer: nn.Module, owned: Mapping[str, Tensor]) -> None:
    """Put the tensors into a layer that was built without memory."""
    for part, module in layer.named_modules():
        stem = f"{path}.{part}" if part else path
        for held in (module._parameters, module._buffers):
            full = {name: empty for name, empty in held.items() if empty is not None}
            held |= {name: _fitting(f"{stem}.{name}", empty, owned) for name, empty in full.items()}
        if isinstance(module, nn.RNNBase):
            module._init_flat_weights()


def _fitting(name: str, empty: Tensor, owned: Mapping[str, Tensor]) -> Tensor:
    tensor = owned.get(name)
    if tensor is None or isinstance(tensor, nn.Parameter) != isinstance(empty, nn.Parameter):
        raise NotRebuildable(f"`tensors` must hold {name} for its layer, got no such tensor.")
    if tensor.shape != empty.shape or tensor.is_floating_point() != empty.is_floating_point():
        raise NotRebuildable(f"`{name}` must be {list(empty.shape)} for its layer, got {list(tensor.shape)}.")
    return tensor


def _branch(model: nn.Module, path: str) -> nn.Module:
    """Return the module that holds the last name of a path, growing what is missing of the tree."""
    branch = model
    for name in path.split(".")[:-1]:
        if name not in branch._modules:
            _free(branch, path, name)
            branch.add_module(name, Holder())
            branch.get_submodule(name).training = model.training
        branch = branch.get_submodule(name)
    return branch


def _free(branch: nn.Module, path: str, name: str = "") -> None:
    """Refuse a name that a module cannot give to a part, and parts of a layer that the layer does not have."""
    name = name or path.rpartition(".")[2]
    if name.startswith("__") or hasattr(branch, name) or not isinstance(branch, Holder | Rebuilt):
        raise NotRebuildable(f"`{path[:80]}` must be a new name in the tree, got {name[:40]!r}, which is taken.")


def _hold(model: nn.Module, path: str, owned: Mapping[str, Tensor]) -> None:
    """Give the tree a tensor that the program reads; one of a layer is there already."""
    tensor, name = owned.get(path), path.rpartition(".")[2]
    if tensor is None:
        raise NotRebuildable(f"`tensors` must hold every tensor that the program uses, got none called {path[:80]!r}.")
    branch = _branch(model, path)
    held: dict[str, Any] = branch._parameters if isinstance(tensor, nn.Parameter) else branch._buffers
    if held.get(name) is not None:
        return
    _free(branch, path)
    if isinstance(tensor, nn.Parameter):
        branch.register_parameter(name, tensor)
    else:
        branch.register_buffer(name, tensor)


def _names(model: nn.Module) -> set[str]:
    return {name for name, _ in named_tensors(model)}
