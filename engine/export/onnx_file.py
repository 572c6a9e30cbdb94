"""A model as an ONNX file, with a batch of any size, checked by ONNX Runtime before it gets its name.

The file carries the weights; it needs neither torch nor Winnow. ONNX Runtime's CPU kernels are for float32.
"""

import os
import tempfile
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.export.agreement import exported_outputs
from winnow.engine.export.graphs import Exported, agreed, names_of, traced_call, varying
from winnow.engine.export.notes import noted
from winnow.engine.export.refusal import MissingPackages, NotDescribable
from winnow.engine.graph.calls import Call, calls
from winnow.engine.graph.modes import evaluating
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.pruning.precision import private
from winnow.engine.runs.digests import digest

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def runtime_installed() -> bool:
    """Whether the packages of the extra `export` are there."""
    return not _missing()


def export_onnx(model: nn.Module, example_inputs: Any, path: Path | str) -> Exported:
    """Write a model as ONNX, checked by ONNX Runtime on the example and on random inputs.

    Each input is run as given, with one image, and with another number of images. Inputs and outputs keep their names
    (those of the forward pass, and of the tasks). The exporter's warnings are returned as notes.

    Raises:
        MissingPackages: the extra `export` is not installed.
        NotDescribable: torch cannot export the model, or it is not in float32.
        NotSame: ONNX Runtime gives other outputs than the model, relative 1e-4; no file is left.

    """
    if missing := _missing():
        raise MissingPackages(
            f"`onnx` needs packages that are not installed: {', '.join(missing)}. Run pip install 'winnow-mtl[export]'."
        )
    path, model = Path(path), _on_cpu(unwrapped(model)[0])
    example_inputs = [call.changed(Tensor.cpu) for call in calls(model, example_inputs)]
    call = traced_call(model, example_inputs)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        file = Path(folder) / path.name
        notes, names = _write(model, call, file)
        session = Session(file, threads=torch.get_num_threads())
        error, compared = agreed(model, example_inputs, lambda given: dict(zip(names, session(given), strict=True)))
        content = file.read_bytes()
        with file.open("rb") as whole:
            os.fsync(whole.fileno())
        file.replace(path)
    return Exported(path, len(content), digest(content), error, compared, notes)


class Session:
    """An ONNX file ready to run on the CPU with a number of threads, which sleep between two passes."""

    def __init__(self, path: Path, threads: int) -> None:
        onnxruntime: Any = import_module("onnxruntime")  # optional, and slow to import
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors only
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.names = [given.name for given in self.session.get_inputs()]

    def feed(self, inputs: Call | Mapping[str, Any]) -> dict[str, Any]:
        """Return inputs as the session takes them."""
        call = inputs if isinstance(inputs, Call) else Call(kwargs=inputs)
        leaves = [leaf for _, leaf in call.tensors()]
        return {name: leaf.contiguous().numpy() for name, leaf in zip(self.names, leaves, strict=True)}

    def run(self, feed: Mapping[str, Any]) -> list[Any]:
        """Return the outputs as arrays."""
        found: list[Any] = self.session.run(None, dict(feed))
        return found

    def __call__(self, inputs: Call | Mapping[str, Any]) -> list[Tensor]:
        """Return the outputs as tensors."""
        return [torch.from_numpy(array) for array in self.run(self.feed(inputs))]


def _write(model: nn.Module, call: Call, file: Path) -> tuple[tuple[str, ...], list[str]]:
    """Write the file, and return what the exporter warned of, and the names of the outputs."""
    found, inputs = exported_outputs(private(model), call), call.kwargs  # a pass may write into what it holds
    names = list(inputs) if len(call.tensors()) == len(inputs) and not call.args else None
    with noted() as notes, evaluating(model):
        try:
            program: Any = torch.onnx.export(
                model, call.args, kwargs=dict(inputs), dynamo=True, verbose=False,
                input_names=names, output_names=names_of(found), dynamic_shapes=varying(call),
            )  # fmt: skip
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise NotDescribable(f"`model` must be one that torch.onnx can export, got: {reason}") from error
        for node in program.model.graph.all_nodes():  # lines of source, with the paths of this machine
            node.metadata_props.clear()
        program.save(file, external_data=False)
    return tuple(notes), list(found)


def _on_cpu(model: nn.Module) -> nn.Module:
    tensors = [*model.parameters(), *model.buffers()]
    wrong = {str(tensor.dtype) for tensor in tensors if tensor.is_floating_point() and tensor.dtype != torch.float32}
    if wrong:
        raise NotDescribable(
            f"`model` must be in float32 for ONNX, got {', '.join(sorted(wrong))}. Call model.float()."
        )
    return private(model).cpu()


def _missing() -> list[str]:
    return [name for name in PACKAGES if find_spec(name) is None]
