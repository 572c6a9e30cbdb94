"""Readers of data that others have written, and of what pages keep beside a run, as `tests.reliability.fuzzing` has."""

import io
import itertools
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save

from tests.data.folder.making import TOML
from tests.reliability.reading import Reader, put, sha
from winnow.dashboard.frames import chosen
from winnow.dashboard.report.bundle import identity_files
from winnow.dashboard.report.report import pinned_section
from winnow.data.disk import arrays, pictures, tables
from winnow.data.folder.description import read_description
from winnow.data.folder.shards import members_of
from winnow.engine.jobs.sample import read_sample, sampled_targets
from winnow.engine.runs.concepts import concepts_of
from winnow.engine.runs.labels import labels_of
from winnow.engine.runs.look import Pictures, write_pictures
from winnow.engine.runs.run import Run
from winnow.engine.training.weights_file import read_weights

PIN = "pin-0123456789ab"
FIGURE = {"format": 1, "kind": "figure", "key": "k", "claim": "c", "reading": "r", "source": "s", "csv": "a\n1\n",
          "shown": {"data": [], "layout": {}}, "at": 1.0}  # fmt: skip
CONCEPT = {"layer": "trunk.0", "channel": 1, "kind": "channel", "concept": "edge", "note": "n"}
COUNT = itertools.count()


def bytes_of(kind: str) -> bytes:
    """Return a small picture in a format."""
    file = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file, kind)
    return file.getvalue()


def npy(values: Any) -> bytes:
    """Return an array as numpy stores it."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def shard() -> bytes:
    """Return a tar file of one sample."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in {"a/0.png": bytes_of("PNG"), "a/0.json": b'{"mass": 1.5}', "a/0.cls": b"3"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()[:4096]


def saved() -> bytes:
    """Return a network's state as torch saves it."""
    file = io.BytesIO()
    torch.save({"a.weight": torch.ones(2, 2), "a.bias": torch.zeros(2)}, file)
    return file.getvalue()


def kept_pictures(folder: Path) -> bytes:
    """Return the kept samples of a look."""
    index = {"samples": [{"split": "train", "index": 0, "where": "x"}],
             "tasks": {"digit": {"kind": "classification", "classes": ["0", "1"], "unit": "1"}}}  # fmt: skip
    arrays_ = {"0.image": np.zeros((8, 8, 3), np.float32), "0.target.digit": np.ones((), np.int64)}
    write_pictures(folder, arrays_, index)
    return (folder / "pictures.safetensors").read_bytes()


def look(file: Path) -> None:
    """Read the kept samples of a look, each with its targets."""
    found = Pictures(file)
    for place, sample in enumerate(found.samples):
        found.places(sample["split"])
        found.sample(place)


def signed_sample(folder: Path, content: bytes) -> None:
    """Write a manifest that agrees with the bytes of a sample."""
    manifest = {"format_version": 1, "targets": ["digit"], "bytes": len(content), "sha256": sha(content)}
    (folder / "sample" / "val.json").write_text(json.dumps(manifest))


def more_readers(folder: Path) -> dict[str, Reader]:
    """Return the readers by name; `folder` is for files that are made on the way."""
    sample = bytes(save({"images": np.zeros((1, 1, 2, 2), np.float32), "target.digit": np.ones(1, np.int64)}))
    choice = json.dumps({"format": 1, "sections": ["a"], "hidden": [], "captions": {"a": "b"}, "pins": [PIN]}).encode()
    labels = b'{"name": "x", "tags": ["a", "b"], "note": "n"}'
    concepts = json.dumps({"format_version": 1, "concepts": [CONCEPT], "before": []}).encode()
    return {
        "kept samples": Reader(
            "pictures.safetensors", (kept_pictures(folder),), lambda own: look(own / "pictures.safetensors")
        ),
        "sample": Reader("sample/val.safetensors", (sample,), lambda own: read_sample(Run(own), "val"), signed_sample),
        "sample manifest": Reader(
            "sample/val.json", (b'{"format_version": 1, "targets": ["a"], "sha256": "0"}',),
            lambda own: (sampled_targets(Run(own)), read_sample(Run(own), "val")),
            lambda own, _: put(own / "sample" / "val.safetensors", sample),
        ),
        "labels": Reader("labels.json", (labels,), labels_of),
        "concepts": Reader("concepts.json", (concepts,), concepts_of),
        "report": Reader("report.json", (choice,), lambda own: chosen.report_choice(Run(own))),
        "pin": Reader(
            f"report/{PIN}.json",
            (json.dumps(FIGURE).encode(),),
            lambda own: [*map(pinned_section, chosen.pinned(Run(own)).values())],
            lambda own, _: put(own / "report.json", choice),
        ),
        "identity": Reader(
            "digests.json", (b'{"spec.json": "00", "tables/x.parquet": "11"}',),
            lambda own: identity_files(Run(own), ""), lambda own, _: put(own / "spec.json", b"{}"),
        ),
        "description": Reader("dataset.toml", (TOML.encode(),), read_description),
        "csv": Reader("x.csv", (b"name,a,b\nx,1,2.5\ny,,nan\n", b"\xef\xbb\xbfname;a\n\"x;y\";1\n"),
                      lambda own: tables.read_csv(own / "x.csv")),
        "spaced": Reader("x.txt", (b"3\na b\nx 1 2\ny 3 4\n",), lambda own: tables.read_spaced(own / "x.txt", 3)),
        "array": Reader("x.npy", (npy(np.ones((4, 4), np.float32)), npy(np.array([{}])), npy(np.zeros(3, "U3"))),
                        lambda own: arrays.read_npy(own / "x.npy")),
        "picture": Reader("x.png", tuple(map(bytes_of, ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"))),
                          lambda own: pictures.read_image(own / "x.png")),
        "labels as picture": Reader("x.png", (bytes_of("PNG"),), lambda own: pictures.read_numbers(own / "x.png")),
        "shard": Reader("x.tar", (shard(),), lambda own: members_of(own / "x.tar", next(COUNT))),
        "saved network": Reader("x.pt", (saved(),), lambda own: read_weights(own / "x.pt")),
        "saved tensors": Reader("x.safetensors", (sample,), lambda own: read_weights(own / "x.safetensors")),
    }  # fmt: skip
