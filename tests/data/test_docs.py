"""docs/data.md: its dataset.toml describes a folder that is read, and its tables list the layouts that there are."""

import re
from pathlib import Path

import numpy as np

from tests.data.disk.making import depth_of, image_of, save, write
from winnow.data.catalog import DATASETS
from winnow.data.checking.doctor import examine
from winnow.data.checking.recognising import layout_names
from winnow.data.disk.spec import DiskData
from winnow.data.folder.dataset import FolderData
from winnow.data.folder.description import OPTIONS
from winnow.data.stacking import stack

PAGE = Path(__file__).parents[2].joinpath("docs", "data.md").read_text("utf-8")
TOML = PAGE.partition('```toml title="dataset.toml"\n')[2].partition("```")[0]
NAMES = ["a 1", "a 2", "b/3", "b/4", "é"]


def make(root: Path) -> Path:
    write(root / "dataset.toml", TOML)
    for split, names in (("train", NAMES[:3]), ("val", NAMES[3:4]), ("test", NAMES[4:])):
        write(root / f"{split}.txt", "\n".join(f"{name}.jpg" for name in names))
    write(root / "photos.csv", "name,season,dog,cat,height\n" + "".join(
        f"{name},{'winter' if k % 2 else 'summer'},{k % 2},1,{k + 1 if k else ''}\n" for k, name in enumerate(NAMES)
    ))  # fmt: skip
    for k, name in enumerate(NAMES):
        size = (48 + 4 * k, 64 + 4 * k)
        save(root / f"photos/{name}.jpg", image_of(k, size))
        save(root / f"objects/{name}.png", np.full(size, (255, 0, 1, 2)[k % 4], np.uint8))
        if k:
            save(root / f"depth/{name}_depth.png", (1000 * depth_of(k, size)).astype(np.uint16))
    return root


def test_the_example_describes_a_folder_that_is_read(tmp_path: Path):
    spec = FolderData(root=str(make(tmp_path)))
    found = stack(spec.load("train"), list(spec.fields))
    assert found.images.shape == (3, 48, 64, 3)
    assert found.targets["objects"][0].max() == -1
    assert not found.targets["depth"][0].any()
    assert found.targets["depth"][1].max() < 8
    assert np.isnan(found.targets["height"][0])
    assert found.targets["seen"].tolist() == [[0, 1], [1, 1], [0, 1]]
    assert [str(finding) for finding in examine(spec).findings] == []


def test_every_data_set_on_disk_kind_and_layout_is_listed():
    rows = re.findall(r"^\| `(\w+)` +\| (?:`(\w+)`)?", PAGE, re.MULTILINE)
    first = {name for name, _ in rows}
    assert {name for name, spec in DATASETS.items() if issubclass(spec, DiskData)} <= first
    assert set(OPTIONS) <= first
    assert {f"{name}/{layout}" for name, layout in rows if layout} == {own for own in layout_names() if "/" in own}
