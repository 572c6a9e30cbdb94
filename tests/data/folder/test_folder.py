"""A folder of one's own: each kind of task is read as dataset.toml says, and each planted defect is named in a line."""

from itertools import chain
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from tests.data.disk.making import depth_of, image_of, normals_of, save, write
from tests.data.folder.making import NAMES, SPLITS, TOML, make
from winnow.data.catalog import load
from winnow.data.folder.dataset import FolderData
from winnow.data.folder.description import Description
from winnow.data.sample import DataError
from winnow.data.stacking import stack

FIRST, SECOND = NAMES[0], NAMES[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "my data ü")


def read(folder: Path) -> None:
    """Read everything of all splits."""
    spec = FolderData(root=str(folder))
    for split in spec.splits:
        stack(spec.load(split), list(spec.fields))


def change(folder: Path, old: str, new: str) -> None:
    path = folder / "dataset.toml"
    assert old in path.read_text("utf-8")
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")


def test_every_kind_of_target_is_read_as_it_was_written(folder: Path):
    data = load("folder", split="train", root=str(folder))
    assert [record.name for record in data.records] == SPLITS["train"]
    stacked = stack(data, list(data.fields))
    assert np.array_equal(stacked.images[1], image_of(1))
    assert stacked.targets["objects"][:, 0].max() == -1
    assert stacked.targets["objects"][:, 1:].min() == 0
    np.testing.assert_allclose(stacked.targets["depth"][3], depth_of(3), atol=5.1e-4)
    cosine = (stacked.targets["normals"][1] * normals_of(1)).sum(2)
    assert cosine[1:].min() > 0.9999
    assert not stacked.targets["normals"][1, 0].any()
    assert not stacked.targets["normals"][2].any()
    assert np.isnan(stacked.targets["heat"][2]).all()
    assert np.isnan(stacked.targets["heat"][1]).sum() == 24
    assert np.array_equal(stacked.targets["borders"] == 1, stacked.targets["objects"] == 1)
    assert stacked.targets["season"].tolist() == [1, 0, 1, 0, 1, 0]
    assert stacked.targets["seen"].tolist()[:2] == [[0, 1, 1], [1, 0, 1]]
    assert stacked.targets["seen"][4].tolist() == [-1, -1, -1]
    np.testing.assert_allclose(stacked.targets["height"], [1, 1.1, 1.2, np.nan, 1.4, 1.5], rtol=1e-6)
    assert stacked.targets["pose"][2].tolist() == [-3, 1]


def test_fields_hold_units_classes_and_the_spread_of_the_training_targets(folder: Path):
    fields = FolderData(root=str(folder)).fields
    assert fields["seen"].classes == ("dog", "cat", "tree")
    assert (fields["heat"].unit, fields["heat"].scale) == ("°C", 5)
    assert fields["height"].scale == pytest.approx(np.std([1, 1.1, 1.2, 1.4, 1.5]), rel=1e-5)


def test_the_spec_says_what_the_folder_held_and_survives_its_loss(folder: Path):
    spec = FolderData(root=str(folder))
    stored = spec.model_dump_json()
    (folder / "dataset.toml").unlink()
    again = FolderData.model_validate_json(stored)
    assert again == spec
    assert again.fields == spec.fields
    assert again.splits == ("train", "val", "test")


def test_a_path_from_here_is_stored_whole(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder.parent)
    spec = FolderData(root=folder.name, cache="kept")
    assert (spec.root, spec.cache) == (str(folder), str(folder.parent / "kept"))
    monkeypatch.chdir("/")
    assert len(spec.load("train")) == 6


def test_the_digest_sees_every_file_that_decides_a_sample(folder: Path):
    spec = FolderData(root=str(folder))
    seen = {spec.fingerprint()}
    write(folder / "notes.txt", "not part of it")
    assert spec.fingerprint() in seen
    for name in ("dataset.toml", "val.txt", "über alles.csv"):
        (folder / name).write_text((folder / name).read_text("utf-8") + "\n", "utf-8")
        seen.add(spec.fingerprint())
    save(folder / "objects" / f"{SPLITS['test'][0]}.png", np.zeros((24, 32), np.uint8))
    assert len(seen | {spec.fingerprint()}) == 5


def test_splits_may_be_folders(tmp_path: Path):
    tasks = '[tasks.kind]\nkind = "classification"\nfolder = true\nclasses = ["a", "b"]\n'
    write(tmp_path / "dataset.toml", f'[images]\npath = "{{split}}"\n[splits]\ntrain = "tr"\nval = "va"\n{tasks}')
    for k, name in enumerate(("tr/a/1", "tr/b/2", "tr/b/10", "va/a/1", "va/b/1")):
        save(tmp_path / f"{name}.jpg", image_of(k))
    spec = FolderData(root=str(tmp_path))
    assert [record.name for record in spec.load("train").records] == ["a/1", "b/2", "b/10"]
    assert stack(spec.load("val"), ["kind"]).targets["kind"].tolist() == [0, 1]
    with pytest.raises(DataError, match="`split` must be one of train, val, got test"):
        spec.load("test")


def test_splits_may_be_shares(folder: Path):
    change(folder, 'train = "train.txt"\nval = "val.txt"\ntest = "test.txt"', "shares = [0.5, 0.25, 0.25]\nseed = 3")
    spec = FolderData(root=str(folder))
    found = [[record.name for record in spec.load(split).records] for split in spec.splits]
    assert [len(names) for names in found] == [6, 3, 3]
    assert sorted(chain(*found)) == sorted(NAMES)


def test_images_of_different_sizes_come_to_one(folder: Path):
    for part, values in (("photos", image_of(1, (48, 64))), ("objects", np.zeros((48, 64), np.uint8))):
        save(folder / part / f"{SECOND}.png", values)
    with pytest.raises(DataError, match=r"`image` must be uint8 of shape \(24, 32, 3\), as in the first sample"):
        stack(load("folder", root=str(folder)), ["objects"])
    change(folder, 'path = "photos"', 'path = "photos"\nsize = [16, 16]\ncrop = true')
    assert stack(load("folder", root=str(folder)), ["objects"]).images.shape == (6, 16, 16, 3)


def test_grey_alpha_palette_and_16_bits_are_converted_when_asked(folder: Path):
    change(folder, 'path = "photos"', 'path = "photos"\nconvert = true')
    grey = image_of(1, channels=1)
    path = folder / "photos" / f"{FIRST}.png"
    for picture in (
        Image.fromarray(grey),
        Image.fromarray(grey.astype(np.uint16) * 257),
        Image.fromarray(np.stack([grey, grey // 2], 2), "LA"),
        Image.fromarray(np.stack([grey, grey, grey, grey // 2], 2), "RGBA"),
    ):
        picture.save(path)
        found = load("folder", root=str(folder)).sample(0).image
        assert np.array_equal(found, np.repeat(grey[:, :, None], 3, 2)), picture.mode


def test_names_are_compared_as_composed_unicode(folder: Path):
    write(folder / "train.txt", "".join(f"{normalize('NFD', name)}\n" for name in SPLITS["train"]))
    read(folder)


def damage(path: Path, content: bytes | int) -> None:
    """Cut a file after so many bytes, or replace it."""
    path.write_bytes(path.read_bytes()[:content] if isinstance(content, int) else content)


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


def pickled(path: Path) -> None:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def cells(folder: Path, old: str, new: str) -> None:
    path = folder / "über alles.csv"
    assert old in path.read_text("utf-8")
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")


PHOTO, LABELS, DEPTH = (f"{part}/{FIRST}.png" for part in ("photos", "objects", "depth"))
DEPTH = f"depth/{FIRST}_depth.png"
NORMALS, HEAT = f"normals/{FIRST}.png", f"heat/{FIRST}.npy"
ROW = f"{NAMES[1]}.png,winter,1,-1,1,1.1,-4,0.5"
SIDEWAYS = bytes.fromhex("45786966000049492a00080000000100120103000100000006000000" + "00000000")
DEFECTS = {
    "no folder": (lambda f: f.rename(f.with_name("gone")), "`root` must be the folder with the files"),
    "no dataset.toml": (lambda f: (f / "dataset.toml").unlink(), "a folder with dataset.toml, got none in it. Write"),
    "deep toml": (lambda f: write(f / "dataset.toml", "a = " + "[" * 3000), "`content` must be TOML"),
    "broken toml": (lambda f: write(f / "dataset.toml", "[images"), "`content` must be TOML"),
    "unknown key": (lambda f: change(f, "optional = true", "optionl = true"), "tasks.normals.optionl` .* unknown key"),
    "unknown kind": (lambda f: change(f, '"map"', '"heatmap"'), "`tasks.heat` .* `kind` must be one of"),
    "path outside": (lambda f: change(f, '"objects"', '"../objects"'), "below the folder"),
    "an option of another kind": (
        lambda f: change(f, 'path = "objects"', 'path = "objects"\nfactor = 2'),
        "`factor` is not an option of kind segmentation: path, classes",
    ),
    "crop without a size": (
        lambda f: change(f, 'path = "photos"', 'path = "photos"\ncrop = true'),
        "`size` must be given with `crop`",
    ),
    "a task called image": (lambda f: change(f, "[tasks.heat]", "[tasks.image]"), "and not `image`"),
    "one class": (lambda f: change(f, '["winter", "summer"]', '["winter"]'), "at least 2 classes"),
    "class twice": (lambda f: change(f, '"winter", "summer"', '"winter", "winter"'), "each class once"),
    "no split": (lambda f: change(f, 'val = "val.txt"\n', ""), "must name `train` and `val`"),
    "no list": (lambda f: (f / "val.txt").unlink(), "val.txt: `split` must be a file .* got no such file"),
    "name twice": (lambda f: write(f / "val.txt", f"{NAMES[6]}\n{NAMES[6]}\n"), "more than once"),
    "leak by name": (lambda f: write(f / "val.txt", f"{FIRST}\n"), "without a common image, got .* in train and val"),
    "unknown name": (lambda f: write(f / "val.txt", "nobody\n"), "nobody, the first of 1 without one"),
    "two images of one name": (lambda f: save(f / PHOTO.replace("png", "jpg"), image_of(0)), "the name of one file"),
    "image cut off": (lambda f: damage(f / PHOTO, 300), "`content` must be a complete PNG"),
    "image without its end": (lambda f: damage(f / PHOTO, -4), "a complete PNG file, got one cut off"),
    "image with a wrong bit": (lambda f: flip_byte(f / PHOTO), "`content` must be a complete PNG"),
    "empty image": (lambda f: damage(f / PHOTO, 0), r"an empty one \(0 bytes\)"),
    "text as image": (lambda f: damage(f / PHOTO, b"hello"), "one that cannot be read"),
    "grey image": (lambda f: save(f / PHOTO, image_of(0, channels=1)), "be RGB, 8 bits, got grey, 8 bits. Set `conv"),
    "RGBA image": (lambda f: save(f / PHOTO, image_of(0, channels=4)), "got RGB with alpha, 8 bits"),
    "16-bit image": (lambda f: save(f / PHOTO, image_of(0)[:, :, 0].astype(np.uint16) * 257), "16 bits"),
    "sideways": (
        lambda f: save(f / PHOTO, image_of(0), exif=SIDEWAYS),
        "stored upright, got EXIF orientation 6",
    ),
    "no labels": (
        lambda f: (f / LABELS).unlink(),
        "`objects` must be a file for every image, got none for straße 0/bild é 0. Set",
    ),
    "labels of another size": (lambda f: save(f / LABELS, np.zeros((24, 31), np.uint8)), "of the size of its image"),
    "labels on their side": (lambda f: save(f / LABELS, np.zeros((32, 24), np.uint8)), "width are swapped"),
    "unknown class": (lambda f: save(f / LABELS, np.full((24, 32), 7, np.uint8)), r"from 0 to 2, got 7 at \(0, 0\)"),
    "coloured labels": (lambda f: save(f / LABELS, image_of(0)), "of one channel, got RGB"),
    "labels cut off": (lambda f: damage(f / LABELS, 60), "complete PNG"),
    "lossy labels": (
        lambda f: (save(f / "objects" / f"{FIRST}.jpg", np.zeros((24, 32), np.uint8)), (f / LABELS).unlink()),
        "stored without loss, got a JPEG",
    ),
    "depth without a factor": (lambda f: change(f, "factor = 0.001\n", ""), "have a factor, got uint16. Give `factor`"),
    "depth too large": (
        lambda f: change(f, "factor = 0.001", "factor = 1"),
        "above 0 and at most 1000 m, got .* Check the unit",
    ),
    "normals that are no directions": (
        lambda f: save(f / NORMALS, np.full((24, 32, 3), 250, np.uint8)),
        "norm 1 .* got 1.66",
    ),
    "grey normals": (lambda f: save(f / NORMALS, np.zeros((24, 32), np.uint8)), "an RGB picture of 8 bits"),
    "heat pickled": (lambda f: pickled(f / HEAT), "numbers, got object .pickled objects are never read"),
    "heat cut off": (lambda f: damage(f / HEAT, 500), "3072 bytes of numbers"),
    "heat too long": (
        lambda f: damage(f / HEAT, (f / HEAT).read_bytes() + b"more"),
        "3072 bytes of numbers,.* got 3076",
    ),
    "heat as zip": (
        lambda f: damage(f / HEAT, b"PK\x03\x04" + bytes(99)),
        "must be a .npy file, got a file that begins",
    ),
    "heat empty": (lambda f: damage(f / HEAT, b""), "an empty one"),
    "heat infinite": (lambda f: save(f / HEAT, np.full((24, 32), np.inf, np.float32)), "finite, got inf"),
    "heat with NaN": (
        lambda f: change(f, "missing = nan\n", ""),
        r"finite, got nan at \(0, 0\), the first of 24. List",
    ),
    "heat in 3 channels": (
        lambda f: save(f / HEAT, np.zeros((24, 32, 3), np.float32)),
        "`shape` must be .height, width",
    ),
    "no table": (lambda f: (f / "über alles.csv").unlink(), "alles.csv: `file` must be there"),
    "no row": (lambda f: cells(f, ROW, ROW.replace("bild", "blid")), "must be given for every image, got no row"),
    "row twice": (lambda f: cells(f, ROW, f"{ROW}\n{ROW}"), "line 4: `row` must be a name that occurs once"),
    "long row": (lambda f: cells(f, ROW, f"{ROW},9"), "line 3: `row` must be 8 cells, one for each column, got 9"),
    "no column": (lambda f: cells(f, "yaw,pitch", "yaw,roll"), "`column` must be one of name, .*, got pitch"),
    "column twice": (lambda f: cells(f, "yaw,pitch", "yaw,yaw"), "named once each, got yaw"),
    "unknown season": (
        lambda f: cells(f, "winter", "spring"),
        "line 3: `season` must be one of winter, summer, .* spring",
    ),
    "unknown label": (lambda f: cells(f, "1,-1,1,1.1", "1,0,1,1.1"), "`seen` must be -1 or 1 in column cat, got 0"),
    "comma in a number": (lambda f: cells(f, "-4,0.5", "-4,zero"), "`pose` must be a finite number in column pitch"),
    "infinite number": (
        lambda f: cells(f, "1.1,-4", "inf,-4"),
        "`height` must be a finite number in column height, got inf",
    ),
    "empty cell": (lambda f: cells(f, "winter,1,-1,1,1.1", ",1,-1,1,1.1"), "got an empty cell in column season"),
    "another encoding": (
        lambda f: (f / "über alles.csv").write_bytes((f / "über alles.csv").read_text("utf-8").encode("latin-1")),
        "text in UTF-8",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_named_in_one_line(folder: Path, defect: str):
    plant, says = DEFECTS[defect]
    plant(folder)
    with pytest.raises(ValueError, match=says) as caught:
        read(folder)
    told = str(caught.value) if isinstance(caught.value, DataError) else caught.value.errors()[0]["msg"]
    assert len(told.splitlines()) == 1


def test_the_description_of_the_test_is_whole(folder: Path):
    read(folder)
    assert isinstance(FolderData(root=str(folder)).description, Description)
    assert "optional" in TOML
