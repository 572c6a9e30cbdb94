"""A model as a `torch.export` program (.pt2), with a batch of any size.

`torch.export.load` unpickles parts of such a file (constants and example inputs go through torch.load), and nothing
here reads a pickle. So what is compared with the model is the program in memory, of which the file is written; the file
itself is never read back. Its users should load it only where they trust whoever wrote it.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from winnow.engine.export.agreement import exported_outputs
from winnow.engine.export.graphs import Exported, agreed, traced_call, varying
from winnow.engine.export.notes import noted
from winnow.engine.export.refusal import NotDescribable
from winnow.engine.graph.calls import Call
from winnow.engine.graph.modes import evaluating
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.runs.digests import digest


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
        program = _program(model, call)
        module = program.module()
    error, compared = agreed(model, example_inputs, lambda given: exported_outputs(_Frozen(module), given))
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        file = Path(folder) / path.name
        torch.export.save(program, file)
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
        with evaluating(model), torch.no_grad():
            program = torch.export.export(
                model, call.args, dict(call.kwargs), dynamic_shapes=varying(call), strict=False
            )
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise NotDescribable(f"`model` must be one that torch.export can export, got: {reason}") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # lines of source, with the paths of this machine
    return program
