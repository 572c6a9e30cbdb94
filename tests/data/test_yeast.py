"""Yeast is read from ARFF and CSV files, split without overlap, and every planted defect is named in a line."""

from pathlib import Path

import numpy as np
import pytest

from winnow.data.checking.doctor import examine
from winnow.data.checking.recognising import spec_for
from winnow.data.sample import DataError
from winnow.data.stacking import stack
from winnow.data.yeast import NAMES, YeastData


def rows(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(0, 0.1, (count, 103)).round(6), generator.integers(0, 2, (count, 14))


def lines(seed: int, count: int) -> list[str]:
    return [
        ",".join([*map(str, x), *map(str, y)]) for x, y in zip(*map(np.ndarray.tolist, rows(seed, count)), strict=True)
    ]


def arff(path: Path, seed: int, count: int, labels: str = "{0,1}") -> None:
    head = ["% a comment", "@relation 'yeast'", *(f"@attribute Att{k} numeric" for k in range(1, 104))]
    head += [f"@ATTRIBUTE 'Class {k}' {labels}" for k in range(1, 15)]
    path.write_text("\n".join([*head, "", "@data", *lines(seed, count), ""]))


def table(path: Path, seed: int, count: int) -> None:
    path.write_text("\n".join([",".join([*(f"a{k}" for k in range(103)), *NAMES]), *lines(seed, count), ""]))


@pytest.mark.parametrize("write", [arff, table])
def test_genes_are_read_as_they_were_written(tmp_path: Path, write):
    write(tmp_path / f"yeast.{'arff' if write is arff else 'csv'}", 0, 40)
    spec = YeastData(root=str(tmp_path))
    found = {split: stack(spec.load(split), list(spec.fields)) for split in spec.splits}
    assert [len(own.images) for own in found.values()] == [28, 6, 6]
    features, functions = rows(0, 40)
    scaled = (features - features.min(0)) / (features.max(0) - features.min(0))
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(
        np.concatenate([own.images for own in found.values()])[:, 0, 0], scaled[order], atol=1e-6
    )
    assert np.array_equal(np.concatenate([own.targets["functions"] for own in found.values()]), functions[order])
    assert np.array_equal(found["train"].targets["class3"], functions[order][:28, 2])


def test_the_official_split_keeps_its_test_genes(tmp_path: Path):
    arff(tmp_path / "yeast-train.arff", 1, 20)
    arff(tmp_path / "yeast-test.arff", 2, 7)
    spec = spec_for(str(tmp_path))
    assert spec.dataset == "yeast"
    assert [len(spec.load(split)) for split in spec.splits] == [16, 4, 7]
    assert examine(spec).findings == []
    test = np.concatenate([part["functions"] for part in (spec.load("test").sample(k).targets for k in range(7))])
    assert sorted(test.tolist()) == sorted(rows(2, 7)[1].ravel().tolist())


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def last(path: Path) -> str:
    return path.read_text().splitlines()[-1]


DEFECTS = {
    "no file": (lambda f: f.unlink(), "one .arff or .csv file, or with .* got none"),
    "two files": (lambda f: table(f.with_suffix(".csv"), 0, 4), "got yeast.arff, yeast.csv"),
    "no data": (lambda f: edit(f, "@data", "@date"), "117 attributes and @data, got 117 and no @data"),
    "an attribute less": (lambda f: edit(f, "@attribute Att7 numeric\n", ""), "got 116"),
    "no rows": (lambda f: f.write_text(f.read_text().partition("@data")[0] + "@data\n"), "at least one gene"),
    "a short row": (
        lambda f: edit(f, last(f), last(f)[:-2]),
        "line 133: `row` must be 103 numbers and 14 .* 116 cells",
    ),
    "a word": (lambda f: edit(f, last(f), "x" + last(f)), "`column 1` must be a finite number, got x"),
    "a question mark": (lambda f: edit(f, last(f), "?" + last(f)[last(f).index(",") :]), "a finite number, got ?"),
    "a function 2": (lambda f: edit(f, last(f), last(f)[:-1] + "2"), "`class14` must be 0 or 1, got 2"),
    "a sparse row": (lambda f: edit(f, last(f), "{0 1.0, 5 2.0}"), "got a sparse row"),
    "empty": (lambda f: f.write_text(""), "an empty one"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_named_in_one_line(tmp_path: Path, defect: str):
    plant, says = DEFECTS[defect]
    arff(tmp_path / "yeast.arff", 0, 12)
    plant(tmp_path / "yeast.arff")
    with pytest.raises(DataError, match=says.replace("?", r"\?")) as caught:
        YeastData(root=str(tmp_path)).load("train")
    assert len(str(caught.value).splitlines()) == 1


def test_words_for_functions_are_understood(tmp_path: Path):
    arff(tmp_path / "yeast.arff", 0, 12, "{FALSE,TRUE}")
    text = (tmp_path / "yeast.arff").read_text()
    first = text.splitlines()[-1]
    cells = first.split(",")
    words = ",".join([*cells[:103], *("TRUE" if cell == "1" else "FALSE" for cell in cells[103:])])
    (tmp_path / "yeast.arff").write_text(text.replace(first, words))
    assert len(YeastData(root=str(tmp_path)).load("train")) == 8
