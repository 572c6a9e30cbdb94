"""What a run may ask of its network: one frozen record per kind of network, and the registry of kinds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializeAsAny, TypeAdapter, ValidationError, field_validator, model_validator

from winnow.data.code import PATTERN, Code, Plain
from winnow.engine.specs.frozen import SpecError, Width, first_line
from winnow.engine.specs.registry import Reference, chosen_by
from winnow.engine.specs.trunk import NetworkSpec, TrunkSpec

FROZEN_NORMS = "keep the batch norms of the trunk as they are: for weights from a file"
ModuleName = Annotated[str, Field(pattern=r"^[\w.]+$", max_length=200)]


class ResidualSpec(TrunkSpec):
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
    frozen_norms: bool = Field(False, description=FROZEN_NORMS)

    @property
    def depth(self) -> int:
        """The number of stages."""
        return len(self.widths)

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


class ResnetSpec(TrunkSpec):
    """A residual network of the usual size; its weights may come from torchvision or timm."""

    build = Reference("winnow.engine.networks.residual", "build_resnet")
    foreign_names = Reference("winnow.engine.networks.foreign", "resnet_names")

    frozen_norms: bool = Field(False, description=FROZEN_NORMS)
    variant: Literal["v1", "d"] = Field(
        "v1",
        description="v1: a 7×7 convolution first; d: three 3×3 ones, and average pooling before each shortcut's "
        "convolution",
    )
    output_stride: int = Field(
        32, description="how much smaller the features are than the image: 32, 16 or 8; below 32, stages are dilated"
    )

    @field_validator("output_stride")
    @classmethod
    def _a_stride_of_stages(cls, stride: int) -> int:
        if stride not in (8, 16, 32):
            raise ValueError(f"`output_stride` must be 8, 16 or 32, got {stride}.")
        return stride


class Resnet18Spec(ResnetSpec):
    """ResNet-18 as the trunk, and one head per task."""

    network: Literal["resnet18"] = "resnet18"


class Resnet34Spec(ResnetSpec):
    """ResNet-34 as the trunk, and one head per task."""

    network: Literal["resnet34"] = "resnet34"


class Resnet50Spec(ResnetSpec):
    """ResNet-50 as the trunk, and one head per task."""

    network: Literal["resnet50"] = "resnet50"


class Resnet101Spec(ResnetSpec):
    """ResNet-101 as the trunk, and one head per task."""

    network: Literal["resnet101"] = "resnet101"


class VitSpec(TrunkSpec):
    """A vision transformer; its weights may come from torchvision or timm."""

    build = Reference("winnow.engine.networks.vit", "build_vit")
    foreign_names = Reference("winnow.engine.networks.foreign", "vit_names")

    patch: int = Field(16, ge=1, le=64, description="side of a patch, which must divide both sides of the images")


class VitSmallSpec(VitSpec):
    """ViT-S as the trunk (width 384, 12 blocks, 6 heads), and one head per task."""

    network: Literal["vit-s"] = "vit-s"


class VitBaseSpec(VitSpec):
    """ViT-B as the trunk (width 768, 12 blocks, 12 heads), and one head per task."""

    network: Literal["vit-b"] = "vit-b"


class SwinTinySpec(TrunkSpec):
    """Swin-T as the trunk: attention in windows of 7 × 7, features at 1/4 to 1/32, and one head per task."""

    build = Reference("winnow.engine.networks.swin", "build_swin")
    foreign_names = Reference("winnow.engine.networks.foreign", "swin_names")

    network: Literal["swin-t"] = "swin-t"


class MmoeSpec(NetworkSpec):
    """A mixture of experts for vectors and sequences: every task weighs the experts by a gate of its own."""

    build = Reference("winnow.engine.networks.experts", "build_experts")

    network: Literal["mmoe"] = "mmoe"
    experts: int = Field(4, ge=1, le=256, description="networks that all tasks share")
    layers: int = Field(2, ge=1, le=16, description="layers of each expert")
    view: int = Field(
        1,
        ge=1,
        le=99,
        description="time steps that a layer sees at once, an odd number; 1: each step alone, as for vectors",
    )
    expert_width: int = Field(64, ge=1, le=8192, description="channels of each layer of an expert")
    head_width: int = Field(48, ge=1, le=8192, description="channels inside each head")

    @property
    def seam(self) -> bool:
        """None: each task reads a mixture of its own."""
        return False

    @field_validator("view")
    @classmethod
    def _has_a_middle(cls, view: int) -> int:
        if view % 2 == 0:
            raise ValueError(f"`view` must be odd, got {view}.")
        return view


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
        "resnet18": Resnet18Spec,
        "resnet34": Resnet34Spec,
        "resnet50": Resnet50Spec,
        "resnet101": Resnet101Spec,
        "vit-s": VitSmallSpec,
        "vit-b": VitBaseSpec,
        "swin-t": SwinTinySpec,
        "mmoe": MmoeSpec,
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
