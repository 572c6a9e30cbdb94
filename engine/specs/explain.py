"""What an explanation is asked to do: frozen, validated, JSON in and out, free of torch."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field as Leaf
from pydantic import model_validator

from winnow.engine.specs.frozen import Frozen, available_cores

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
Channel = Annotated[int, Leaf(ge=0)]
Name = Annotated[str, Leaf(min_length=1, max_length=200)]


class ExplainSpec(Frozen):
    """Which features of a finished or stopped run each task relies on, and whether that is true."""

    kind: Literal["explain"] = "explain"
    format_version: Literal[1] = 1
    methods: tuple[Method, ...] = Leaf(
        ("taylor",), min_length=1, description="how relevance is measured; the first one decides the labels"
    )
    of: Of = Leaf("loss", description="what is explained: each task's loss, or its output as one number per image")
    fill: Fill = Leaf("mean", description="what stands for a missing channel: its mean over the images, or zero")
    images: int = Leaf(64, ge=2, le=100_000, description="images to look at, the first of the split")
    split: Literal["train", "val", "test"] = Leaf("val", description="where the images come from")
    layers: tuple[Name, ...] = Leaf((), description="layers to explain; none named: all that the tasks share")
    maps: int = Leaf(8, ge=0, le=64, description="images to map channels and pixels on, the first ones; 0: no maps")
    map_channels: int = Leaf(
        12, ge=1, le=1000, description="channels per task to map, the most relevant of the last layer or of `layers`"
    )
    channels: tuple[Channel, ...] = Leaf((), description="channels to map instead, of the one layer in `layers`")
    ablations: int = Leaf(
        16, ge=0, le=100_000, description="living channels per layer to remove one by one, as the ground truth; 0: none"
    )
    ablation_images: int = Leaf(32, ge=2, le=100_000, description="images for ablation and deletion, at most `images`")
    bootstrap: int = Leaf(200, ge=10, le=10_000, description="resamplings of the images behind each interval")
    randomisations: bool = Leaf(True, description="repeat with shuffled weights, where the explanation has to fall")
    steps: int = Leaf(16, ge=2, le=1000, description="points on the path of the integrating methods")
    seed: int = Leaf(0, ge=0, lt=2**63, description="seed of resampling, sampling and shuffling")
    threads: int = Leaf(default_factory=available_cores, ge=1, le=1024, description="CPU threads")
    device: Literal["auto", "cpu", "cuda"] = Leaf("auto", description="where to compute")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name in ("methods", "layers", "channels"):
            values = [str(value) for value in getattr(self, name)]
            if len(set(values)) != len(values):
                raise ValueError(f"`{name}` should name each one once. Found {', '.join(values)}.")
        return self

    @model_validator(mode="after")
    def _channels_lie_in_one_layer(self) -> Self:
        if self.channels and len(self.layers) != 1:
            raise ValueError(f"`layers` should name the one layer of `channels`. Found {len(self.layers)} layers.")
        return self

    @model_validator(mode="after")
    def _deep_lift_sees_an_output(self) -> Self:
        if "deep_lift" in self.methods and self.of == "loss":
            raise ValueError("`of` should be output with deep_lift, whose rules end before the loss. Found loss.")
        return self
