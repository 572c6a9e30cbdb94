"""The forms in which a network can run: torch as it is, folded, compiled; ONNX Runtime in float32 and in int8.

| form          | what it is                                                                                        |
|---------------|---------------------------------------------------------------------------------------------------|
| `eager`       | the model itself, operation by operation                                                          |
| `folded`      | batch norms and constants folded (`engine.export.folding`)                                        |
| `compiled`    | the folded model by torch.compile, weights frozen; needs a C++ compiler, and seconds per size     |
| `onnxruntime` | the ONNX file with all optimisations of ONNX Runtime                                              |
| `int8`        | the ONNX file quantised after training: weights and activations in 8 bits, calibrated on images   |

The first four give the model's outputs, relative 1e-4, or are refused; int8 does not, so that its metrics are measured.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import Tensor, nn

from winnow.engine.export import NotSame, export_onnx
from winnow.engine.export.agreement import exported_outputs, relative_error
from winnow.engine.export.folding import Folded, folded
from winnow.engine.export.graphs import names_of
from winnow.engine.export.onnx_file import PACKAGES, Session, runtime_installed
from winnow.engine.graph.calls import Call
from winnow.engine.graph.trace import named_inputs
from winnow.engine.measure.memory import file_size
from winnow.engine.measure.peaks import with_threads
from winnow.engine.measure.timing import Runner, eager
from winnow.engine.pruning.precision import private
from winnow.engine.pruning.proof import FLOAT32

LAYOUTS: Mapping[str, torch.memory_format] = MappingProxyType(
    {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}
)
COMPILERS = ("c++", "g++", "clang++")
RECOMPILED = 256  # sizes and copies of one network, each compiled for itself


@dataclass(frozen=True, eq=False)
class Form:
    """A network in one form: how to run it on inputs with so many threads, and what it takes as a file [B].

    `layouts` are the memory formats that make a difference. `relative_error` is that of its outputs beside the model's.
    """

    name: str
    runner: Callable[[Mapping[str, Any], int, str], Runner]
    layouts: tuple[str, ...]
    bytes: int
    relative_error: float
    module: nn.Module | None = None


@dataclass(frozen=True, eq=False)
class FormSource:
    """The model to be put in a form, its example, and images to calibrate int8 on, as inputs of one image or more."""

    model: nn.Module
    example: Any
    calibration: Sequence[Mapping[str, Any]] = ()

    @cached_property
    def written(self) -> tuple[bytes, float]:
        """The model as an ONNX file, in bytes, and the relative error of its outputs; written once."""
        with tempfile.TemporaryDirectory() as folder:
            found = export_onnx(self.model, self.example, Path(folder) / "model.onnx")
            return found.path.read_bytes(), found.relative_error

    @cached_property
    def program(self) -> Folded:
        """The folded model, made once."""
        return folded(self.model, self.example)


def usable_forms() -> dict[str, str]:
    """Return for every form why it cannot run on this machine; "" where it can.

    Examples:
        >>> usable_forms()["eager"]
        ''

    """
    compiler = any(shutil.which(name) for name in COMPILERS)
    without_onnx = "" if runtime_installed() else f"install {', '.join(PACKAGES)}: pip install 'winnow-mtl[export]'"
    return {
        "eager": "",
        "folded": "",
        "compiled": "" if compiler else f"install a C++ compiler: one of {', '.join(COMPILERS)}",
        "onnxruntime": without_onnx,
        "int8": without_onnx,
    }


def formed(name: str, source: FormSource) -> Form:
    """Return a network in a form, compared with the model.

    Raises:
        ValueError: there is no such form, or it does not run on this machine.
        NotDescribable, NotSame: the network cannot be put in it.

    """
    if name not in FORMS:
        raise ValueError(f"`forms` must be among {', '.join(FORMS)}, got {name!r}. Choose among them.")
    if reason := usable_forms()[name]:
        raise ValueError(f"`forms` must run on this machine, got {name}. To have it, {reason}.")
    return FORMS[name](source)


def _eager(source: FormSource) -> Form:
    return Form("eager", _in_torch(source.model), tuple(LAYOUTS), file_size(source.model), 0.0, source.model)


def _folded(source: FormSource) -> Form:
    found = source.program
    return Form("folded", _in_torch(found), tuple(LAYOUTS), file_size(found), _error(source, found), found)


def _compiled(source: FormSource) -> Form:
    """Return the compiled form; it compiles for each number of images and threads when its runner is made."""
    found = source.program

    def runner(inputs: Mapping[str, Any], threads: int, layout: str) -> Runner:
        del layout  # the compiler chooses it, layer by layer
        with with_threads(threads), _freezing():
            compiled = torch.compile(_copied(found), dynamic=False)
            run = _keyword(compiled, inputs)
            result = run()
            run()
        expected = exported_outputs(found, Call(kwargs=dict(inputs)))
        error = relative_error(expected, dict(zip(expected, _leaves(result), strict=True)))
        if not error <= FLOAT32:
            raise NotSame(
                f"`model` must give the same outputs when compiled, got a relative difference of {error:.2g}."
            )
        return run

    return Form("compiled", runner, ("NCHW",), file_size(found), _error(source, found), found)


def _onnxruntime(source: FormSource) -> Form:
    content, error = source.written
    return Form("onnxruntime", _in_onnx(content), ("NCHW",), len(content), error)


def _int8(source: FormSource) -> Form:
    if not source.calibration:
        raise ValueError("`calibration` must hold inputs for int8, got none. Give some images of the training split.")
    with _file(source.written[0]) as path:
        content = _quantised(path, source.calibration)
    call = Call(kwargs=named_inputs(source.model, source.example))
    expected = exported_outputs(source.model, call)
    with _file(content) as path:
        found = dict(zip(expected, Session(path, 1)(call), strict=True))
        module = InRuntime(Session(path, torch.get_num_threads()), tuple(names_of(expected)))
    return Form("int8", _in_onnx(content), ("NCHW",), len(content), relative_error(expected, found), module)


FORMS: Mapping[str, Callable[[FormSource], Form]] = MappingProxyType(
    {"eager": _eager, "folded": _folded, "compiled": _compiled, "onnxruntime": _onnxruntime, "int8": _int8}
)


class InRuntime(nn.Module):
    """A network of one image input that runs in ONNX Runtime, as a module that gives a tensor per task."""

    def __init__(self, session: Session, names: tuple[str, ...]) -> None:
        super().__init__()
        self.session, self.names = session, names

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name."""
        return dict(zip(self.names, self.session({self.session.names[0]: images.cpu()}), strict=True))


def _in_torch(model: nn.Module) -> Callable[[Mapping[str, Any], int, str], Runner]:
    def runner(inputs: Mapping[str, Any], threads: int, layout: str) -> Runner:
        del threads  # that of whoever runs it
        laid: nn.Module = cast(Any, _copied(model)).to(memory_format=LAYOUTS[layout])  # torch types it elsewhere
        return eager(laid, {name: _laid(value, layout) for name, value in inputs.items()})

    return runner


def _in_onnx(content: bytes) -> Callable[[Mapping[str, Any], int, str], Runner]:
    sessions: dict[int, Session] = {}

    def runner(inputs: Mapping[str, Any], threads: int, layout: str) -> Runner:
        del layout
        if threads not in sessions:
            with _file(content) as path:
                sessions[threads] = Session(path, threads)
        session = sessions[threads]
        feed = session.feed(inputs)
        return lambda: session.run(feed)

    return runner


def _quantised(path: Path, calibration: Sequence[Mapping[str, Any]]) -> bytes:
    """Return an ONNX file in int8, as bytes: its weights per channel, its activations per tensor."""
    tools: Any = import_module("onnxruntime.quantization")
    prepared, small = path.with_name("prepared.onnx"), path.with_name("int8.onnx")
    session = Session(path, 1)
    feeds = iter([session.feed(inputs) for inputs in calibration])

    class Reader(tools.CalibrationDataReader):  # type: ignore[misc] # the package is imported when it is needed
        def get_next(self) -> dict[str, Any] | None:
            return next(feeds, None)

    tools.quant_pre_process(path, prepared, skip_symbolic_shape=True)
    tools.quantize_static(prepared, small, Reader(), per_channel=True)
    return small.read_bytes()


def _error(source: FormSource, found: nn.Module) -> float:
    call = Call(kwargs=named_inputs(source.model, source.example))
    return relative_error(exported_outputs(source.model, call), exported_outputs(found, call))


def _copied(model: nn.Module) -> nn.Module:
    return private(model).eval()


def _laid(value: Any, layout: str) -> Any:
    maps = isinstance(value, Tensor) and value.dim() == 4
    return value.contiguous(memory_format=LAYOUTS[layout]) if maps else value


def _keyword(model: Any, inputs: Mapping[str, Any]) -> Callable[[], Any]:
    def run() -> Any:
        with torch.no_grad():  # a frozen program is not made for inference mode
            return model(**inputs)

    return run


def _leaves(result: Any) -> list[Tensor]:
    return [leaf for leaf in torch.utils._pytree.tree_leaves(result) if isinstance(leaf, Tensor)]


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        yield path


@contextmanager
def _freezing() -> Iterator[None]:
    """Let torch.compile take weights for constants, and compile as many sizes as it is asked for."""
    inductor: Any = import_module("torch._inductor.config")
    inductor.deterministic = torch.are_deterministic_algorithms_enabled()
    dynamo: Any = import_module("torch._dynamo.config")
    with inductor.patch(freezing=True), dynamo.patch(recompile_limit=RECOMPILED):
        yield
