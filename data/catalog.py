"""The data sets that come with the package, by name.

`DATASETS` is the registry: the command line, the forms, the pages and the worker all read it. It holds one spec per
data set (`data.spec.DataSpec`), and loads nothing. A new data set is a file beside this one and a line here.
"""

from collections.abc import Mapping
from inspect import signature
from types import MappingProxyType
from typing import Any

from winnow.data.digits import DigitsData
from winnow.data.fashion.dataset import FashionData
from winnow.data.parameters import check_split
from winnow.data.planted import PlantedData
from winnow.data.sample import Dataset, Split
from winnow.data.scenes.dataset import ScenesData
from winnow.data.spec import DataSpec

DATASETS: Mapping[str, type[DataSpec]] = MappingProxyType(
    {
        "scenes": ScenesData,
        "digits": DigitsData,
        "fashion": FashionData,
        "planted": PlantedData,
    }
)


def load(name: str, *, split: Split = "train", **options: Any) -> Dataset:
    """Return a split of the data set called `name`; options left out take their defaults.

    Raises:
        ValueError: an unknown name, split or option, or a value out of range; the message names what there is.

    """
    if name not in DATASETS:
        raise ValueError(f"`name` must be one of {', '.join(DATASETS)}, got {name!r}.")
    check_split(split)
    source = DATASETS[name].source
    known = [option for option in signature(source).parameters if option != "split"]
    for option in options:
        if option not in known:
            raise ValueError(f"Options of `{name}` must be among {', '.join(known)}, got {option!r}.")
    return source(split, **options)
