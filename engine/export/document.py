"""The document that describes a model, as data: layers, tensors, and the program that joins them.

A program is a list of steps, each named after the result that it gives and free to refer to earlier ones:

    call     a function of `engine.export.allowed.FUNCTIONS`
    method   a method of the first argument, which is an earlier result
    part     an attribute of an earlier result, such as its shape
    layer    a layer of `layers`, by its path
    tensor   a parameter or buffer of `tensors`, by its path
    mode     whether the model, or a part of it, is in training mode

A step that is `frozen` runs without gradients, as under torch.no_grad. Where the model takes another way in training
mode, `in_training` holds the program of that mode; `modes` are those of parts that the program asks for.

Pydantic judges the form, strictly and without further keys; `engine.export.rebuilding` judges the content.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Leaf

from winnow.engine.export.refusal import NotRebuildable

Path = Annotated[str, Leaf(pattern=r"^\w+(\.\w+)*$", max_length=400)]
Word = Annotated[str, Leaf(pattern=r"^\w[\w.]*$", max_length=100)]
Length = Annotated[int, Leaf(ge=0, lt=2**40)]
Op = Literal["call", "method", "part", "layer", "tensor", "mode"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Input(_Strict):
    """An argument of the forward pass, its name as a result, and the shapes and types of its tensors in the example."""

    argument: Word
    name: Word
    shapes: list[list[Length]] = []
    dtypes: list[Word] = []
    optional: bool = False
    default: Any = None


class LayerEntry(_Strict):
    """A layer: its class, the constructor's arguments, and its mode."""

    kind: Word = Leaf(alias="class")
    arguments: Any
    training: bool


class Stored(_Strict):
    """A tensor in the file."""

    shape: list[Length]
    dtype: Word
    parameter: bool
    trainable: bool
    channels_last: bool


class StepEntry(_Strict):
    """An operation of the program."""

    name: Word
    op: Op
    target: Annotated[str, Leaf(max_length=400)]
    args: Any = []
    kwargs: Any = {}
    frozen: bool = False


class ProgramEntry(_Strict):
    """The steps of one mode, and what they give."""

    program: list[StepEntry]
    result: Any


class Document(_Strict):
    """A whole model but for the numbers in its tensors."""

    format_version: Literal[1]
    training: bool
    inputs: list[Input]
    layers: dict[Path, LayerEntry]
    tensors: dict[Path, Stored]
    tied: dict[Path, Path]
    program: list[StepEntry]
    result: Any
    in_training: ProgramEntry | None = None
    modes: dict[Path, bool] = {}


def checked(document: Any) -> Document:
    """Return a document of the right form.

    Raises:
        NotRebuildable: a key is missing, unknown or of another kind; the message names the first.

    """
    try:
        return Document.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part)[:60] for part in first["loc"]) or "document"
        raise NotRebuildable(f"`{place}` must be valid in a stored model, got: {first['msg']}.") from error
    except RecursionError as error:
        raise NotRebuildable("`document` must be nested less deeply, got more levels than can be read.") from error
