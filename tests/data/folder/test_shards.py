"""Tar shards give the samples that were written, in their order; planted defects are named in a line."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from tests.data.disk.making import depth_of, generator, image_of, write
from winnow.data.checking.doctor import examine
from winnow.data.checking.recognising import spec_for
from winnow.data.folder.shards import ShardsData
from winnow.data.sample import DataError
from winnow.data.stacking import stack

TOML = """
[images]
path = "png"

[splits]
train = "train-*.tar"
val = "val-*.tar"

[tasks.objects]
kind = "segmentation"
path = "seg.png"
classes = ["floor", "wall", "chair"]
missing = 255

[tasks.depth]
kind = "depth"
path = "depth.npy"
optional = true

[tasks.season]
kind = "classification"
table = "json"
column = "season"
classes = ["winter", "summer"]

[tasks.seen]
kind = "multilabel"
table = "json"
columns = ["dog", "cat"]

[tasks.height]
kind = "regression"
table = "json"
column = "height"
unit = "m"
spread = 0.5
optional = true
"""
SHARDS = {"train-0000.tar": range(3), "train-0001.tar": range(3, 5), "val-ü.tar": range(5, 7)}


def labels_of(k: int) -> np.ndarray:
    labels = generator(k).integers(0, 3, (24, 32)).astype(np.uint8)
    labels[0] = 255
    return labels


def picture(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def array(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=False)
    return out.getvalue()


def sample_of(k: int) -> dict[str, bytes]:
    told = {"season": "winter" if k % 2 else 1, "dog": bool(k % 2), "cat": 1}
    told |= {"height": 1 + k / 10} if k != 2 else {}
    members = {"png": picture(image_of(k)), "seg.png": picture(labels_of(k)), "json": json.dumps(told).encode()}
    return {**members, **({"depth.npy": array(depth_of(k).astype(np.float32))} if k != 1 else {})}


def tar(path: Path, samples: dict[str, dict[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for key, members in samples.items():
            for ending, content in members.items():
                info = tarfile.TarInfo(f"{key}.{ending}")
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return path


def make(folder: Path) -> Path:
    write(folder / "dataset.toml", TOML)
    for name, numbers in SHARDS.items():
        tar(folder / name, {f"a b/{k:04d}": sample_of(k) for k in numbers})
    return folder


def test_samples_are_those_that_were_written(tmp_path: Path):
    spec = spec_for(str(make(tmp_path / "shards")))
    assert isinstance(spec, ShardsData)
    report = examine(spec)
    assert (report.findings, report.notes) == ([], [])
    data = spec.load("train")
    assert [record.name for record in data.records] == [f"a b/{k:04d}" for k in range(5)]
    found = stack(data, list(spec.fields))
    for k in range(5):
        assert np.array_equal(found.images[k], image_of(k))
        assert np.array_equal(found.targets["objects"][k], np.where(labels_of(k) == 255, -1, labels_of(k).astype(int)))
        depth = depth_of(k).astype(np.float32) if k != 1 else np.zeros((24, 32))
        assert np.array_equal(found.targets["depth"][k], depth)
    assert found.targets["season"].tolist() == [1, 0, 1, 0, 1]
    assert found.targets["seen"].tolist() == [[k % 2, 1] for k in range(5)]
    np.testing.assert_allclose(found.targets["height"], [1, 1.1, np.nan, 1.3, 1.4], rtol=1e-6)
    assert len(spec.load("val")) == 2
    before = spec.fingerprint()
    tar(tmp_path / "shards/val-x.tar", {"9": sample_of(9)})
    assert len(spec.load("val")) == 3
    assert spec.fingerprint() != before


def test_what_webdataset_writes_is_read(tmp_path: Path):
    root = make(tmp_path / "shards")
    with webdataset.TarWriter(str(root / "train-0000.tar")) as out:
        for k in SHARDS["train-0000.tar"]:
            out.write({"__key__": f"a b/{k:04d}", **sample_of(k)})
    data = ShardsData(root=str(root)).load("train")
    assert len(data) == 5
    assert np.array_equal(data.sample(2).image, image_of(2))


def changed(root: Path, ending: str, content: bytes | None) -> None:
    samples = {f"a b/{k:04d}": sample_of(k) for k in SHARDS["train-0000.tar"]}
    if content is None:
        del samples["a b/0001"][ending]
    else:
        samples["a b/0001"][ending] = content
    tar(root / "train-0000.tar", samples)


def told(root: Path, old: str, new: str) -> None:
    text = (root / "dataset.toml").read_text("utf-8")
    assert old in text
    write(root / "dataset.toml", text.replace(old, new))


def twice(root: Path) -> None:
    tar(root / "train-0001.tar", {"a b/0001": sample_of(1)})


DEFECTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no image": (lambda r: changed(r, "png", None), r"0000\.tar: `image` must be a member a b/0001\.png, got none"),
    "no classes": (lambda r: changed(r, "seg.png", None), r"`objects` must be a member a b/0001\.seg\.png, got none"),
    "a damaged image": (lambda r: changed(r, "png", b"nothing"), r"train-0000\.tar/a b/0001\.png: `content` must be"),
    "an empty image": (lambda r: changed(r, "png", b""), r"0001\.png: `file` must be a file with content"),
    "class 3": (lambda r: changed(r, "seg.png", picture(labels_of(1) * 0 + 3)), "a class from 0 to 2, got 3"),
    "a pickle": (lambda r: changed(r, "depth.npy", b"\x80\x04K\x01."), r"0001\.depth\.npy: `content` must be a .npy"),
    "no JSON": (lambda r: changed(r, "json", b"["), "a JSON object of at most 1 MiB"),
    "a list": (lambda r: changed(r, "json", b"[1]"), "a JSON object of at most 1 MiB"),
    "no season": (lambda r: changed(r, "json", b'{"dog": 0, "cat": 1}'), "must be a value of 'season', got none"),
    "another season": (
        lambda r: changed(r, "json", b'{"season": "May", "dog": 0, "cat": 1}'),
        "a value of 'season' that dataset.toml describes, got 'May'",
    ),
    "an object": (lambda r: changed(r, "json", b'{"season": {}, "dog": 0, "cat": 1}'), "got {}"),
    "a key in two shards": (twice, "the key of one sample, got one in train-0000.tar and train-0001.tar"),
    "a shard cut off": (lambda r: os.truncate(r / "train-0000.tar", 3000), "a complete tar file"),
    "no tar": (lambda r: (r / "train-0000.tar").write_bytes(b"x" * 4096), "a complete tar file"),
    "an empty shard": (lambda r: (r / "train-0000.tar").write_bytes(b""), "a complete tar file, got empty file"),
    "a shard of two splits": (lambda r: told(r, '"val-*.tar"', '"*.tar"'), "a shard of one split"),
    "no shards": (lambda r: told(r, '"val-*.tar"', '"validation-*.tar"'), r"tar files validation-\*\.tar, got none"),
    "compressed": (lambda r: told(r, '"val-*.tar"', '"dataset.*"'), "Unpack compressed shards"),
    "no spread": (lambda r: told(r, "spread = 0.5", ""), "a typical deviation, got none"),
    "shares": (
        lambda r: told(r, 'train = "train-*.tar"\nval = "val-*.tar"', "shares = [0.5, 0.5]"),
        "patterns of tar files for each split, got shares",
    ),
}  # fmt: skip


def read(root: Path) -> None:
    spec = ShardsData(root=str(root))
    for split in spec.splits:
        stack(spec.load(split), list(spec.fields))


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_named_in_one_line(tmp_path: Path, defect: str):
    plant, says = DEFECTS[defect]
    root = make(tmp_path / "shards")
    plant(root)
    with pytest.raises(ValueError, match=says) as caught:
        read(root)
    error = caught.value if isinstance(caught.value, DataError) else caught.value.errors()[0]["ctx"]["error"]
    assert len(str(error).splitlines()) == 1
    assert str(root) in str(error)
