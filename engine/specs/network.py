"""What a run may ask of its network: one frozen record per kind of network, and the registry of kinds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, TypeAdapter, ValidationError, model_validator

from winnow.engine.specs.frozen import Frozen, SpecError, Width, first_line
from winnow.engine.specs.registry import Reference, chosen_by


class NetworkSpec(Frozen):
    """A network with its options; a subclass per kind of network sets `network` and `build`.

    `build` is imported by the worker: build(spec, tasks, channels) returns a module with `trunk` and `heads`, whose
    forward turns images (B, channels, H, W) into {task: prediction}.
    """

    network: str
    build: ClassVar[Reference]

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


NETWORKS: Mapping[str, type[NetworkSpec]] = MappingProxyType(
    {
        "residual": ResidualSpec,
    }
)
Network = Annotated[SerializeAsAny[NetworkSpec], chosen_by("network", NETWORKS, "residual")]
"""The type of a field that holds any of them; one without the key `network` is residual, as before there were kinds."""

_ANY: TypeAdapter[NetworkSpec] = TypeAdapter(Network)


def parse_network(values: Any) -> NetworkSpec:
    """Return the spec of a network that a dictionary describes; raise `SpecError` with one line otherwise."""
    try:
        return _ANY.validate_python(values)
    except ValidationError as error:
        raise SpecError(first_line(error)) from error
