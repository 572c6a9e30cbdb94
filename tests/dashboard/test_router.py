import errno
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.pruning_making import write_pruning
from winnow.dashboard import navigation
from winnow.engine.runs.run import Run

ROUTER = str(Path(__file__).resolve().parents[2] / "dashboard" / "shared" / "router.py")
MakeRun = Callable[..., Run]


def _links(page: AppTest) -> dict[str, dict[str, str]]:
    """Return what each link to a page says that is chosen there."""
    links = [link.proto for link in page.get("page_link")][: len(navigation.ENTRIES)]
    return {link.label: {name: value[0] for name, value in parse_qs(link.query_string).items()} for link in links}


def _page(**address: str) -> AppTest:
    page = AppTest.from_file(ROUTER, default_timeout=30)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


def test_the_first_page_of_an_empty_folder_is_the_welcome(runs_root: Path) -> None:
    page = _page()
    assert not page.exception
    assert page.title[0].value == "Winnow"
    assert page.button(key="start_demo").label == "Start the demo run"


def test_a_folder_that_cannot_be_read_is_said_and_nothing_is_offered(
    make_stored_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, scan = make_stored_run(), os.scandir
    page = _page(run=run.id)
    assert page.dataframe

    def refused(path: object) -> object:
        if Path(str(path)) == run.path.parent:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refused)
        page.run()
        assert not page.exception
        assert "cannot be read: Permission denied" in page.error[0].value
        assert not page.button
        assert not page.dataframe
    assert page.run().dataframe
    assert not page.error


def test_the_first_page_is_the_table_once_there_is_a_run(make_run: MakeRun) -> None:
    run = make_run(name="first")
    page = _page()
    assert not page.exception
    (address,) = page.dataframe[0].value["name"]
    assert address == f"./train?run={run.id}#first"  # a link, of which the table shows what follows the #


def test_every_page_has_a_link(runs_root: Path) -> None:
    assert list(_links(_page())) == [entry.title for entry in navigation.ENTRIES.values()]


def test_a_link_carries_what_is_chosen_and_what_its_page_shows_at_first(make_stored_run: MakeRun) -> None:
    older, newer = make_stored_run(), make_stored_run()
    pruning = write_pruning(older)
    assert _links(_page())["Train"] == {"run": newer.id}
    address = {"run": older.id, "layer": "stem", "channel": "1", "kind": "output", "runs_view": "Table"}
    links = _links(_page(**address))
    chosen = {name: value for name, value in address.items() if name != "runs_view"}
    assert links["Groups"] == links["Train"] == links["New run"] == chosen
    assert links["Prune"] == chosen | {"pruning": pruning.id}
    assert links["Compare"] == chosen | {"other": newer.id}
    assert links["Runs"] == address


def test_a_link_to_a_removed_run_stays_one(make_stored_run: MakeRun) -> None:
    make_stored_run()
    assert _links(_page(run="gone"))["Prune"] == {"run": "gone"}
