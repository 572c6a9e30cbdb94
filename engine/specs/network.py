"""What a run may ask of its network: one frozen record per kind of network, and the registry of kinds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, TypeAdapter, ValidationError, model_validator

from winnow.data.code import PATTERN, Code, Plain
from winnow.engine.specs.frozen import Frozen, SpecError, Width, first_line
from winnow.engine.specs.registry import Reference, chosen_by

ModuleName = Annotated[str, Field(pattern=r"^[\w.]+$", max_length=200)]


class NetworkSpec(Frozen):
    """A network with its options; a subclass per kind of network sets `network` and `build`.

    `build` is imported by the worker: build(spec, tasks, channels) returns a module whose forward turns images
    (B, channels, H, W) into {task: prediction}; one of ours has a `trunk` and `heads`.
    """

    network: str
    build: ClassVar[Reference]
    ours: ClassVar[bool] = True
    """Whether it is a `MultiTaskNet`; otherwise any module whose forward returns {task: output}."""

    def fingerprint(self) -> dict[str, str]:
        """Return what identifies code of the user's own that builds it; {} where there is none."""
        return {}

    @property
    def stages(self) -> tuple[int, ...]:
        """The widths that a narrower network of the same kind has less of; () where it has no narrower ones."""
        return ()

    def with_stages(self, widths: tuple[int, ...]) -> Self:
        """Return the same network with other `stages`."""
        raise NotImplementedError(f"{type(self).__name__}.with_stages")


class ResidualSpec(NetworkSpec):
    """A residual trunk that all tasks share, and one head per task."""

    build = Reference("winnow.engine.networks.residual", "build_residual")

    network: Literal["residual"] = "residual"
    widths: tuple[Width, ...] = Field(
        (24, 48, 64, 96), min_length=1, max_length=8, description="channels of each stage"
    )
    blocks: tuple[Width, ...] = Field((2, 2, 2, 2), min_length=1, max_length=8, description="blocks in each stage")
    block: Literal["basic", "bottleneck"] = Field(
        "basic", description="kind of residual block; a bottleneck returns 4 × its width"
    )
    stem: Literal["small", "large"] = Field(
        "small", description="first layers. small: one 3×3 to 1/2 of the size; large: three 3×3 and a pooling to 1/4"
    )
    dilated: bool = Field(True, description="dilate the last two stages instead of striding them")
    head: Literal["light", "aspp"] = Field(
        "light", description="head of a dense task. light: one 3×3 convolution; aspp: the pyramid of DeepLab"
    )
    head_width: int = Field(48, ge=1, le=8192, description="channels inside each head")

    @property
    def stages(self) -> tuple[int, ...]:
        """The channels of each stage."""
        return self.widths

    def with_stages(self, widths: tuple[int, ...]) -> Self:
        """Return the same network with other channels per stage."""
        return self.model_copy(update={"widths": widths})

    @model_validator(mode="after")
    def _stages_agree(self) -> Self:
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"`blocks` must have one entry per stage, {len(self.widths)} as `widths`, got {len(self.blocks)}."
            )
        return self


class OwnSpec(NetworkSpec):
    """A function of your own, MODULE:FUNCTION; it is called as function(fields, **options) and returns a module.

    `fields` says what is known about each task: `data.sample.Field`, and how many `outputs` the network is to give. The
    forward of the module turns images (B, C, H, W) into {task: output}: (B, outputs, H, W) for dense tasks, (B,
    outputs) for the others.
    """

    build = Reference("winnow.engine.networks.own", "build_own")
    ours = False

    network: Literal["own"] = "own"
    code: str = Field(pattern=PATTERN, max_length=200, description="MODULE:FUNCTION that builds the network")
    path: str = Field(max_length=4096, description="folder that the module is imported from")
    options: dict[str, Plain] = Field(default_factory=dict, description="options of the function")
    trunk: tuple[ModuleName, ...] = Field((), description="modules that the tasks share; not set: found from the graph")

    def own_code(self) -> Code:
        """Return the code that it names."""
        return Code(self.code, self.path, "network")

    def fingerprint(self) -> dict[str, str]:
        """Return the code's name, version and digest."""
        return self.own_code().fingerprint()


class RecordedSpec(NetworkSpec):
    """A network that was recorded in a loop of the user's own, or imported: its architecture is in the run folder."""

    build = Reference("winnow.engine.networks.own", "build_recorded")
    ours = False

    network: Literal["recorded"] = "recorded"
    name: str = Field("", max_length=200, description="class of the network")
    origin: str = Field("", max_length=500, description="where it comes from, in words")
    trunk: tuple[ModuleName, ...] = Field((), description="modules that the tasks share; not set: found from the graph")


NETWORKS: Mapping[str, type[NetworkSpec]] = MappingProxyType(
    {
        "residual": ResidualSpec,
    }
)
"""The networks that a form offers."""

EVERY: Mapping[str, type[NetworkSpec]] = MappingProxyType({**NETWORKS, "own": OwnSpec, "recorded": RecordedSpec})
"""All kinds of network that a spec may hold."""

Network = Annotated[SerializeAsAny[NetworkSpec], chosen_by("network", EVERY, "residual")]
"""The type of a field that holds any of them; one without the key `network` is residual, as before there were kinds."""

_ANY: TypeAdapter[NetworkSpec] = TypeAdapter(Network)


def parse_network(values: Any) -> NetworkSpec:
    """Return the spec of a network that a dictionary describes; raise `SpecError` with one line otherwise."""
    try:
        return _ANY.validate_python(values)
    except ValidationError as error:
        raise SpecError(first_line(error)) from error
