from collections.abc import Callable

from tests.dashboard.making_maps import write_maps
from winnow.dashboard.frames import maps
from winnow.dashboard.frames.cells import Cell
from winnow.engine.runs.derived import DerivedJob

Make = Callable[..., DerivedJob]


def test_an_explanation_has_maps_once_they_are_written(make_explained: Make) -> None:
    work = make_explained()
    assert maps.store(work) is None
    write_maps(work)
    known = maps.store(work)
    assert known is not None
    assert maps.mapped_cells(known) == [Cell("trunk", 0), Cell("trunk", 1)]
    assert maps.store(work) is known


def test_a_damaged_file_is_no_maps(make_explained: Make) -> None:
    work = make_explained()
    path = write_maps(work)
    path.write_bytes(path.read_bytes()[:100])
    assert maps.store(work) is None


def test_the_strongest_answers_come_first(make_explained: Make) -> None:
    work = make_explained()
    write_maps(work)
    known = maps.store(work)
    assert known is not None
    frame = maps.answers(known, Cell("trunk", 0))
    assert frame["image"].tolist() == [5, 4, 3, 2, 1, 0]
    assert frame["max"].tolist() == [6, 5, 4, 3, 2, 1]


def test_a_task_is_described(make_explained: Make) -> None:
    work = make_explained()
    write_maps(work)
    known = maps.store(work)
    assert known is not None
    field = maps.field(known, "depth")
    assert field is not None
    assert (field.kind, field.unit) == ("depth", "m")
    assert maps.field(known, "nobody") is None
