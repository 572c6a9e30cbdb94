"""What an explanation is asked to do."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from winnow.engine.specs.frozen import DerivedSpec, available_cores

Method = Literal[
    "taylor",
    "taylor_positions",
    "gradient_x_activation",
    "conductance",
    "layer_integrated_gradients",
    "internal_influence",
    "deep_lift",
    "feature_ablation",
]
Of = Literal["loss", "output"]
Fill = Literal["mean", "zero"]
METHODS: tuple[Method, ...] = get_args(Method)
LEAST_FOR_CIRCUITS = 8  # images: half to learn from, a quarter to size, a quarter to check
Channel = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class ExplainSpec(DerivedSpec):
    """Which features of a finished or stopped run each task relies on, with checks of the answer."""

    kind: Literal["explain"] = "explain"
    methods: tuple[Method, ...] = Field(
        ("taylor",), min_length=1, description="how relevance is measured; the first one decides the labels"
    )
    of: Of = Field(
        "loss", description="what is explained: the loss of each task, or its output summed up in one number per image"
    )
    fill: Fill = Field("mean", description="what replaces a removed channel: its mean over the images, or zero")
    images: int = Field(64, ge=2, le=100_000, description="number of images, the first ones of the split")
    split: Literal["train", "val", "test"] = Field("val", description="where the images come from")
    layers: tuple[Name, ...] = Field((), description="layers to explain; not set: all layers that the tasks share")
    maps: int = Field(8, ge=0, le=64, description="number of images to draw maps on, the first ones; 0: no maps")
    map_channels: int = Field(
        12,
        ge=1,
        le=1000,
        description="channels per task to draw maps of, the most relevant ones of the last layer or of `layers`",
    )
    channels: tuple[Channel, ...] = Field(
        (), description="draw maps of these channels instead; `layers` must then name their layer"
    )
    ablations: int = Field(
        16, ge=0, le=100_000, description="channels per layer to remove one by one, to check the relevance; 0: none"
    )
    ablation_images: int = Field(32, ge=2, le=100_000, description="images for ablation and deletion, at most `images`")
    bootstrap: int = Field(200, ge=10, le=10_000, description="bootstrap samples behind each interval")
    randomisations: bool = Field(True, description="repeat with shuffled weights, which must change the explanation")
    circuits: bool = Field(
        False,
        description="find the circuit of each task: the fewest edges that keep 90 or 95 % of what it has learned",
    )
    circuit_steps: int = Field(
        160, ge=1, le=100_000, description="forward and backward passes per task to find its circuit"
    )
    steps: int = Field(16, ge=2, le=1000, description="steps of the methods that integrate along a path")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the bootstrap, the choice of channels and the shuffling")
    threads: int = Field(default_factory=available_cores, ge=1, le=1024, description="CPU threads")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to compute")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name in ("methods", "layers", "channels"):
            values = [str(value) for value in getattr(self, name)]
            if len(set(values)) != len(values):
                raise ValueError(f"`{name}` must name each one once, got {', '.join(values)}.")
        return self

    @model_validator(mode="after")
    def _channels_lie_in_one_layer(self) -> Self:
        if self.channels and len(self.layers) != 1:
            raise ValueError(f"`layers` must name the one layer of `channels`, got {len(self.layers)} layers.")
        return self

    @model_validator(mode="after")
    def _circuits_run_through_all_layers(self) -> Self:
        if self.circuits and self.layers:
            raise ValueError(f"`layers` must be empty with circuits, which need all layers, got {len(self.layers)}.")
        if self.circuits and self.images < LEAST_FOR_CIRCUITS:
            raise ValueError(f"`images` must be at least {LEAST_FOR_CIRCUITS} with circuits, got {self.images}.")
        return self

    @model_validator(mode="after")
    def _deep_lift_sees_an_output(self) -> Self:
        if "deep_lift" in self.methods and self.of == "loss":
            raise ValueError("`of` must be output with deep_lift, whose rules end before the loss, got loss.")
        return self
