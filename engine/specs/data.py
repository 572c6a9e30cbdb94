"""Which data a run trains on."""

from typing import Literal

from pydantic import Field as Leaf

from winnow.engine.specs.frozen import Frozen


class ScenesData(Frozen):
    """Procedural rooms: as many as wanted, of any size."""

    dataset: Literal["scenes"] = "scenes"
    size: int = Leaf(64, ge=8, le=1024, description="image side in pixels")
    train_length: int = Leaf(600, ge=2, le=1_000_000, description="images to train on")
    val_length: int = Leaf(150, ge=1, le=100_000, description="images to validate on")
    test_length: int = Leaf(150, ge=1, le=100_000, description="images to test on, once, if a test is asked for")
    data_seed: int = Leaf(0, ge=0, description="seed of the rooms themselves")


class DigitsData(Frozen):
    """Handwritten digits of 8 × 8 pixels, the smallest real data."""

    dataset: Literal["digits"] = "digits"
    data_seed: int = Leaf(0, ge=0, description="seed of the split")


class PlantedData(Frozen):
    """Patterns of which it is known which task needs them, to judge explanations by."""

    dataset: Literal["planted"] = "planted"
    size: int = Leaf(64, ge=36, le=1024, description="image side in pixels")
    train_length: int = Leaf(600, ge=2, le=1_000_000, description="images to train on")
    val_length: int = Leaf(150, ge=1, le=100_000, description="images to validate on")
    test_length: int = Leaf(150, ge=1, le=100_000, description="images to test on, once, if a test is asked for")
    data_seed: int = Leaf(0, ge=0, description="seed of looks, strengths and places")


DataSpec = ScenesData | DigitsData | PlantedData
