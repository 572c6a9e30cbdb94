"""Which data set a folder holds, and in which layout."""

from collections.abc import Iterator
from pathlib import Path

from winnow.data.catalog import DATASETS
from winnow.data.disk.paths import data_folder
from winnow.data.disk.spec import DiskData
from winnow.data.folder.description import NAME
from winnow.data.layouts.layout import LayoutData
from winnow.data.sample import DataError


def layout_names() -> list[str]:
    """Return all layouts as `--layout` takes them, such as nyu/mtan."""
    return [*_plain(), *(f"{dataset}/{layout}" for dataset, layout in _layouts())]


def spec_for(root: str, layout: str = "") -> DiskData:
    """Return the spec of the data set in a folder.

    Args:
        root: the folder.
        layout: one of `layout_names()`, or its second part where only one data set has it; "": recognised.

    Raises:
        DataError: no layout is recognised, or several are; the message lists what there is.
        ValueError: the layout is unknown, or the folder contradicts it.

    """
    folder = data_folder(root)
    name = _named(layout) if layout else _recognised(folder)
    dataset, _, own = name.partition("/")
    spec = DATASETS[dataset].model_validate({"root": root, **({"layout": own} if own else {})})
    if not isinstance(spec, DiskData):
        raise TypeError(f"`{dataset}` must be a data set on disk.")
    return spec


def _named(layout: str) -> str:
    known = layout_names()
    found = [name for name in known if layout in (name, name.partition("/")[2])]
    if len(found) != 1:
        raise ValueError(f"`layout` must be one of {', '.join(found or known)}, got {layout!r}.")
    return found[0]


def _recognised(folder: Path) -> str:
    plain = [name for name, spec in _plain().items() if spec.recognises(folder)]
    found = plain[:1] or [f"{dataset}/{layout}" for dataset, layout in _layouts() if _matches(folder, dataset, layout)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            str(folder), "layout", "the only one that fits", " or ".join(found), "Give it with --layout NAME."
        )
    expected = f"a folder with {NAME}, or in one of the layouts {', '.join(layout_names()[2:])}"
    below = [own.name for own in sorted(folder.iterdir()) if own.is_dir() and _below(own)]
    mend = f"Give its folder {below[0]} instead." if below else "docs/data.md lists the files of each layout."
    raise DataError(str(folder), "root", expected, "none of them", mend)


def _below(folder: Path) -> bool:
    plain = any(spec.recognises(folder) for spec in _plain().values())
    return plain or any(_matches(folder, *names) for names in _layouts())


def _plain() -> dict[str, type[DiskData]]:
    """Return the data sets on disk that have one layout, `folder` first."""
    return {
        name: spec for name, spec in DATASETS.items() if issubclass(spec, DiskData) and not issubclass(spec, LayoutData)
    }


def _matches(folder: Path, dataset: str, layout: str) -> bool:
    spec = DATASETS[dataset]
    own = spec.layouts[layout] if issubclass(spec, LayoutData) else None
    return own is not None and not own.asked_for and own.matches(folder)


def _layouts() -> Iterator[tuple[str, str]]:
    for dataset, spec in DATASETS.items():
        if issubclass(spec, LayoutData):
            yield from ((dataset, layout) for layout in spec.layouts)
