"""The data sets that there are, by name: those that come with the package, and those that read a folder.

`DATASETS` is the registry: the command line, the forms, the pages and the worker all read it. It holds one spec per
data set (`data.spec.DataSpec`), and loads nothing. A new data set is a file beside this one and a line here.
"""

from collections.abc import Mapping
from inspect import signature
from types import MappingProxyType
from typing import Any

from winnow.data.digits import DigitsData
from winnow.data.disk.spec import DiskData
from winnow.data.fashion.dataset import FashionData
from winnow.data.folder.dataset import FolderData
from winnow.data.folder.shards import ShardsData
from winnow.data.layouts.celeba import CelebaData
from winnow.data.layouts.cityscapes import CityscapesData
from winnow.data.layouts.nyu import NyuData
from winnow.data.layouts.pascal import PascalData
from winnow.data.layouts.taskonomy import TaskonomyData
from winnow.data.motorcycle import MotorcycleData
from winnow.data.parameters import check_split
from winnow.data.planted import PlantedData
from winnow.data.sample import Dataset, Split
from winnow.data.scenes.dataset import ScenesData
from winnow.data.spec import DataSpec
from winnow.data.yeast import YeastData

DATASETS: Mapping[str, type[DataSpec]] = MappingProxyType(
    {
        "scenes": ScenesData,
        "digits": DigitsData,
        "fashion": FashionData,
        "folder": FolderData,
        "shards": ShardsData,
        "nyu": NyuData,
        "celeba": CelebaData,
        "cityscapes": CityscapesData,
        "pascal": PascalData,
        "taskonomy": TaskonomyData,
        "yeast": YeastData,
        "motorcycle": MotorcycleData,
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
    spec = DATASETS[name]
    on_disk = issubclass(spec, DiskData)
    names = spec.asked() if on_disk else signature(spec.source).parameters
    known = [option for option in names if option not in ("split", "dataset")]
    for option in options:
        if option not in known:
            raise ValueError(f"Options of `{name}` must be among {', '.join(known)}, got {option!r}.")
    return spec(**options).load(split) if on_disk else spec.source(split, **options)
