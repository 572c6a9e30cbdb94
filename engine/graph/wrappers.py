"""Wrapped models: the model inside is what is traced, counted, shrunk and saved, and the user is told."""

import torch
from torch import fx, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

INSIDE = {  # the attribute that holds the model, by the class of the wrapper
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "AveragedModel": "module",
    "ModelEma": "ema",
    "ModelEmaV2": "module",
    "ModelEmaV3": "module",
    "OptimizedModule": "_orig_mod",
}
OF_TORCH = (DataParallel, DistributedDataParallel, AveragedModel)


def unwrapped(model: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the model inside all wrappers, and one sentence per wrapper, the outermost first.

    Raises:
        TypeError: `model` is no module.
        ValueError: its parameters are sharded over processes, so that it has no weights of its own.

    """
    said: list[str] = []
    while inside := _inside(model):
        said.append(f"{type(model).__name__} was removed: everything else here refers to its `{inside}`.")
        model = getattr(model, inside)
    return model, tuple(said)


def refuse_other(model: object) -> None:
    """Raise if `model` is no module.

    Raises:
        TypeError: it is none.

    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a torch.nn.Module, got {type(model).__name__}. Give the network itself.")


def refuse_compiled(model: nn.Module) -> None:
    """Raise where code cannot be followed.

    Raises:
        ValueError: a part is compiled or exported.

    """
    for name, module in model.named_modules():
        where = f"`{name}`" if name else "the model itself"
        if isinstance(module, torch.jit.ScriptModule):
            found = f"TorchScript in {where}"
        elif isinstance(module, fx.GraphModule) and "eval" in vars(module):  # as torch.export leaves it
            found = f"the module of an exported program in {where}"
        else:
            continue
        raise ValueError(
            f"`model` must be Python code, got {found}, which cannot be followed or made smaller. Build the network "
            "that it was made from, and load its weights with load_state_dict."
        )


def _inside(model: nn.Module) -> str | None:
    refuse_other(model)
    kinds = [kind.__name__ for kind in type(model).__mro__]
    if "FullyShardedDataParallel" in kinds or "FSDPModule" in kinds:
        raise ValueError(
            "`model` must hold whole parameters, got a fully sharded model. "
            "Load its full state dict into a plain copy of the network."
        )
    if type(model).__name__ != "OptimizedModule" and not isinstance(model, OF_TORCH) and "ModelEma" not in kinds[0]:
        return None
    inside = next((INSIDE[kind] for kind in kinds if kind in INSIDE), None)
    return inside if isinstance(getattr(model, inside or "", None), nn.Module) else None
