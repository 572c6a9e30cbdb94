"""What a page says of a run that holds no images depends on how the run came here."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from winnow.dashboard.frames.run_images import imageless, no_images
from winnow.engine.runs.run import Run

MakeRun = Callable[..., Run]
DATA = {"dataset": "recorded", "described": {"a": {"kind": "unspecified"}, "b": {"kind": "unspecified"}}}
NETWORK = {"network": "recorded", "name": "Net"}


def _made(make_run: MakeRun, origin: str) -> Run:
    network = {**NETWORK, **({"origin": origin} if origin else {})}
    return make_run(epochs=0, network=network, data=DATA, tasks=["a", "b"])


def test_the_remedy_of_an_imported_network_is_another_import_and_of_a_loop_another_recording(make_run: MakeRun) -> None:
    imported, looped = _made(make_run, "mine:build 0123; net.pth 4567"), _made(make_run, "")
    assert imageless(imported)
    assert imageless(looped)
    assert "winnow import" in no_images(imported)
    assert "record()" not in no_images(imported)
    assert "record()" in no_images(looped)
    assert "winnow import" not in no_images(looped)


def test_no_conflict_is_said_of_the_loop_of_an_imported_network(make_run: MakeRun) -> None:
    def show() -> None:
        from winnow.dashboard.pages.train.page import page

        page()

    page = AppTest.from_function(show, default_timeout=60)
    page.query_params["run"], page.query_params["view"] = _made(make_run, "mine:build 0; net.pth 1").id, "Tasks"
    said = " ".join(info.value for info in page.run().info)
    assert not page.exception
    assert "the weights were imported" in said
    assert "Explain the run" not in said
