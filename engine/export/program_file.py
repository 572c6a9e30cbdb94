"""A model as a `torch.export` program (.pt2), with a batch of any size.

`torch.export.load` unpickles parts of such a file (constants and example inputs go through torch.load), and nothing
here reads a pickle. So what is compared with the model is the program in memory, of which the file is written; the file
itself is never read back. Its users should load it only where they trust whoever wrote it.
"""

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from winnow.engine.export.agreement import exported_outputs
from winnow.engine.export.graphs import Exported, agreed, traced_call, varying
from winnow.engine.export.notes import noted, unlogged
from winnow.engine.export.refusal import NotDescribable
from winnow.engine.graph.calls import Call
from winnow.engine.graph.modes import evaluating
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.pruning.precision import private
from winnow.engine.runs.digests import digest

SIZE = r"L\['\w+'\]\.size\(\)\[0\]"  # how torch writes the number of images
COMPUTED = (
    "Look for what makes a number of it (a loop, a branch, `int`) and write it with x.shape[0], or use `save_model`."
)


def export_program(model: nn.Module, example_inputs: Any, path: Path | str) -> Exported:
    """Write a model as an exported program, compared with it on the example and on random inputs.

    Each input is run as given, with one image, and with another number of images.

    The path ends in `.pt2`. The program is that of evaluation mode.

    Raises:
        ValueError: the path has another ending.
        NotDescribable: torch cannot export the model.
        NotSame: the program gives other outputs than the model, relative 1e-4; nothing is written.

    """
    path = Path(path)
    if path.suffix != ".pt2":
        raise ValueError(f"`path` must end in .pt2, got {path.name}.")
    model, _ = unwrapped(model)
    call = traced_call(model, example_inputs)
    with noted() as notes:
        program = _program(private(model), call)
        module = program.module()
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        file = Path(folder) / path.name
        torch.export.save(program, file)  # before it runs: a pass may write into what it holds, and so into the file
        error, compared = agreed(private(model), example_inputs, lambda given: exported_outputs(_Frozen(module), given))
        content = file.read_bytes()
        with file.open("rb") as whole:
            os.fsync(whole.fileno())
        file.replace(path)
    return Exported(path, len(content), digest(content), error, compared, tuple(notes))


class _Frozen(nn.Module):
    """An exported module, which refuses `eval()`: it has the mode that it was exported in."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._run = [module]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the program gives."""
        return self._run[0](*args, **kwargs)


def _program(model: nn.Module, call: Call) -> torch.export.ExportedProgram:
    try:
        program = _drawn(model, call)
    except Exception as error:
        raise _not_exported(error) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # lines of source, with the paths of this machine
    return program


def _drawn(model: nn.Module, call: Call) -> torch.export.ExportedProgram:
    """Return the program; torch's compiler draws it where Python makes a number of a size, as `len(x)` does."""
    options: dict[str, Any] = {"args": call.args, "kwargs": dict(call.kwargs), "dynamic_shapes": varying(call)}
    with evaluating(model), torch.no_grad():
        try:
            return torch.export.export(model, **options, strict=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other way is tried
            first = error
        try:
            with unlogged("torch._guards"):
                return torch.export.export(model, **options, strict=True)
        except Exception:  # noqa: BLE001 - what the first one says is nearer to the code
            raise first from None


def _not_exported(error: Exception) -> NotDescribable:
    """Return the refusal of a model that torch.export does not take, without torch's advice on its own switches."""
    first, _, rest = str(error).partition("\n")
    if not first.startswith("Constraints violated"):
        return NotDescribable(f"`model` must be one that torch.export can export, got: {first}")
    fixed, limits = re.search(r"to be a constant \((\d+)\)", rest), re.search(r"the generated guard (.+)", rest)
    found = "a program for some numbers only"
    if fixed:
        found = f"a program for {fixed[1]} images only"
    elif limits:
        found = f"a program for which {re.sub(SIZE, 'the number of images', limits[1].strip())}"
    return NotDescribable(f"`model` must take any number of images to be exported, got {found}. {COMPUTED}")
