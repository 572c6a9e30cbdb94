import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.making_judged import write_judged, write_pictures
from tests.dashboard.pruning_making import CERTIFICATE, set_status, write_bench, write_export, write_pruning
from tests.dashboard.reading import opened, said
from tests.timing import standard_seconds
from winnow.engine.runs.derived import DerivedJob, derived_job, derived_jobs
from winnow.engine.runs.files import replace_json
from winnow.engine.runs.run import Run
from winnow.engine.specs.export import ExportSpec
from winnow.engine.specs.prune import PruneSpec

MakeRun = Callable[..., Run]


def _prune() -> None:
    from winnow.dashboard.pages.prune.page import page

    page()


def _page(**address: str) -> AppTest:
    page = AppTest.from_function(_prune, default_timeout=60)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


@contextmanager
def _working(work: DerivedJob, **status: object) -> Iterator[None]:
    """Hold the lock of a pruning as its worker does, and say that it works."""
    process = psutil.Process()
    known = {"pid": process.pid, "pid_created": process.create_time(), "finished": None, "requested": time.time()}
    set_status(work, state="running", **known, **status)
    with work.lock():
        yield


def test_before_and_after_stand_first_with_their_certificate(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    pruning = write_pruning(run)
    page = _page(run=run.id)
    assert not page.exception
    table = page.dataframe[0].value.set_index("what")
    assert table.loc["parameters"].tolist() == ["1 k", "250", "−75 % (4×)"]
    assert "exact] The smaller network gives the outputs of the network of small at step 30" in said(page)
    assert f"150 validation images · pruning {pruning.id} · exact zeros" in said(page)
    assert "2 CPU threads" in said(page)


@pytest.mark.parametrize(
    ("detail", "charts"), [("Layers", 4), ("What if", 4), ("Reasons", 3), ("Speed", 3), ("Export", 3)]
)
def test_only_the_open_view_is_drawn_and_never_more_than_four_charts(
    make_stored_run: MakeRun, detail: str, charts: int
) -> None:
    run = make_stored_run()
    write_pruning(run, criterion="norm", budget=50, refit_epochs=2)
    page = _page(run=run.id, detail=detail)
    assert not page.exception
    assert len(page.get("plotly_chart")) == charts


def test_the_newest_pruning_is_shown_and_the_address_may_name_another(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    older = write_pruning(run, stem="a")
    newer = write_pruning(run, stem="b", criterion="relevance", budget=30)
    page = _page(run=run.id)
    assert page.selectbox(key="pruning").value == newer.id
    assert [option.rpartition(" · ")[2] for option in page.selectbox(key="pruning").options] == [
        "low relevance, budget 30 % of the MACs",
        "exact zeros",
    ]
    assert "low relevance, budget 30 % of the MACs" in said(page)
    page = _page(run=run.id, pruning=older.id)
    assert page.selectbox(key="pruning").value == older.id
    assert "**exact zeros**" in said(page)


@pytest.mark.parametrize("name", ["nonsense", "../../etc", "<script>"])
def test_an_address_that_names_no_pruning_says_so_and_offers_nothing(make_stored_run: MakeRun, name: str) -> None:
    run = make_stored_run()
    write_pruning(run)
    page = _page(run=run.id, pruning=name)
    assert not page.exception
    assert page.error[0].value.startswith("There is no pruning")
    assert not page.button


def test_an_empty_page_says_what_to_do_next_and_what_it_costs(make_stored_run: MakeRun) -> None:
    page = _page(run=make_stored_run().id)
    assert not page.exception
    assert "Nothing has been removed" in page.info[0].value
    assert "as an epoch of training: 22 s" in page.info[0].value
    assert page.button(key="prune_submit").label == "Start pruning"


def test_a_pruning_that_is_started_is_the_one_shown_and_stands_in_the_address(
    make_stored_run: MakeRun, end_workers: None
) -> None:
    run = make_stored_run()
    older = write_pruning(run, stem="a")
    page = opened(_page(run=run.id, pruning=older.id), f"new_pruning_{run.id}")
    page.button(key="prune_submit").click().run()
    assert not page.exception
    started = next(found.id for found in derived_jobs(run, "prune") if found.id != older.id)
    assert page.selectbox(key="pruning").value == started
    assert "prune_submit" not in [button.key for button in page.button]  # the form is folded


def test_without_a_checkpoint_there_is_nothing_to_prune(make_run: MakeRun) -> None:
    page = _page(run=make_run().id)
    assert "no" in page.info[0].value
    assert not page.button


def test_without_runs_it_offers_the_demo(runs_root: Path) -> None:
    assert _page().button(key="start_demo").label == "Start the demo run"


def test_a_live_pruning_says_what_it_does_and_can_be_stopped_then_killed(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    work = derived_job(run, PruneSpec())
    with _working(work, progress=0.4, phase="judging the pruned network"):
        page = _page(run=run.id)
        assert not page.exception
        assert (page.progress[0].value, page.progress[0].text) == (40, "Judging the pruned network")
        assert "once the dense network has been judged" in page.info[0].value
        page.button(key="stop").click().run()
        assert work.control().stop
        assert page.button(key="kill").label == "Kill now"
        assert "undo" not in {button.key for button in page.button}


def test_what_a_live_pruning_has_found_so_far_is_shown(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    work = write_pruning(run)
    for name in ("measures", "removed", "reasons"):
        (work.path / "tables" / f"{name}.parquet").unlink()
    (work.path / "certificate.json").unlink()
    with _working(work, progress=0.7):
        page = _page(run=run.id)
    assert not page.exception
    assert "no certificate yet" in said(page)
    assert page.dataframe[0].value["what"].tolist() == ["depth: absolute error ↓"]
    assert "Costs are measured" in page.get("plotly_chart")[1].proto.spec


def test_a_failure_is_said_in_one_sentence_with_the_end_of_the_log(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    work = derived_job(run, PruneSpec())
    set_status(work, state="failed", message="`budget` should be below 40 %. Found <b>90</b>.")
    (work.path / "log.txt").write_text("Traceback\nValueError: <b>")
    page = _page(run=run.id)
    assert page.error[0].value == r"`budget` should be below 40 \%\. Found \<b\>90\<\/b\>\."
    assert page.code[0].value == "Traceback\nValueError: <b>"


def test_a_stopped_pruning_can_be_started_again(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    write_pruning(run, state="stopped")
    assert _page(run=run.id).button(key="resume").label == "Start again"


@pytest.mark.parametrize(
    ("content", "found"),
    [({"relative_error_float32": 1e-3}, "not exact"), ({"fixed_sizes": True}, "accepts only inputs of these sizes")],
)
def test_the_certificate_says_what_it_does_not_cover(
    make_stored_run: MakeRun, content: dict[str, object], found: str
) -> None:
    run = make_stored_run()
    replace_json(write_pruning(run).path / "certificate.json", {**CERTIFICATE, **content})
    assert found in said(_page(run=run.id))


def test_a_certificate_that_is_none_is_said(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    (write_pruning(run).path / "certificate.json").write_text("[]")
    page = _page(run=run.id)
    assert not page.exception
    assert "must be a valid certificate" in page.error[0].value


def test_a_damaged_spec_is_said_and_the_pruning_can_be_removed(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    (write_pruning(run).path / "spec.json").write_text('{"kind": "prune", "budget": -1}')
    page = _page(run=run.id)
    assert not page.exception
    assert "can't be shown" in page.error[0].value
    assert page.button(key="undo")


def test_what_if_follows_the_share_that_is_chosen(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    write_pruning(run, criterion="norm", budget=50)
    page = _page(run=run.id, detail="What if")
    page.segmented_control(key="of").set_value("groups").run()
    figure = json.loads(page.get("plotly_chart")[3].proto.spec)
    assert figure["layout"]["xaxis"]["title"]["text"] == "channels removed [%]"
    assert page.dataframe[1].value["threshold"].tolist() == ["–", "0.5", "0.85"]


def test_without_a_sweep_it_says_how_to_get_one(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    write_pruning(run)
    assert "low norms" in _page(run=run.id, detail="What if").info[0].value


def test_reasons_are_text_by_kind(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    write_pruning(run)
    page = _page(run=run.id, detail="Reasons")
    assert page.dataframe[1].value["reason"].tolist() == ["7 channels"]
    assert page.dataframe[2].value["reason"].tolist() == ["softmax mixes *all* channels"]
    assert "**Gather their channels**" in said(page)


def test_the_files_of_an_export_are_offered_for_download(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    pruning = write_pruning(run)
    write_export(run, pruning)
    page = _page(run=run.id, detail="Export")
    assert not page.exception
    offered = [button.label for button in page.get("download_button") if "csv" not in button.key]
    assert [label.replace("\\", "") for label in offered] == ["README.md", "network.safetensors"]
    assert "32 B · the same bits · SHA-256" in said(page)


def test_an_export_is_asked_for_in_the_chosen_forms(make_stored_run: MakeRun, end_workers: None) -> None:
    run = make_stored_run()
    pruning = write_pruning(run)
    page = _page(run=run.id, detail="Export")
    page.pills(key="export_formats").set_value(["onnx"])
    page.button(key="export_submit").click().run()
    assert not page.exception
    (export,) = derived_jobs(run, "export")
    assert isinstance(export.spec, ExportSpec)
    assert (export.spec.pruning, export.spec.formats) == (pruning.id, ("onnx",))


def test_what_model_explorer_shows_of_the_run_is_listed_beside_the_exports_of_a_pruning(
    make_stored_run: MakeRun, end_workers: None
) -> None:
    run = make_stored_run()
    pruning = write_pruning(run)
    write_export(run, pruning)
    own = derived_job(run, ExportSpec(formats=("model-explorer",)))
    (own.path / "files").mkdir()
    (own.path / "files" / "model_explorer.json").write_text("{}")
    page = _page(run=run.id, detail="Export")
    offered = [button.label.replace("\\", "") for button in page.get("download_button") if "csv" not in button.key]
    assert offered == ["README.md", "network.safetensors", "model_explorer.json"]
    assert "and its 1 export" in said(page)  # what goes with the pruning; the run's own stays


def test_no_form_at_all_is_refused(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    write_pruning(run)
    page = _page(run=run.id, detail="Export")
    page.pills(key="export_formats").set_value([])
    page.button(key="export_submit").click().run()
    assert "formats" in page.error[0].value
    assert not derived_jobs(run, "export")


def test_a_bench_is_shown_with_its_sentence_first(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    pruning = write_pruning(run)
    bench = write_bench(run, pruning)
    page = _page(run=run.id, detail="Speed")
    assert not page.exception
    assert "Compact runs 2.0 × as fast as dense." in said(page)
    speeds, lost, layers = (shown.value for shown in page.dataframe[1:4])
    assert speeds.set_index("network").loc["compact", ["time", "speed-up", "of the promise"]].tolist() == [
        "5 (4.5–6) ms", "2.00 × (1.80–2.20)", "50 %",
    ]  # fmt: skip
    assert lost["time"].tolist() == ["2 ms", "−100 µs"]
    assert layers["limited by, compact"].tolist() == ["memory"]
    assert "Not timed: dense compiled. no compiler" in said(page)
    assert f"bench {bench.id}" in said(page)


def test_a_bench_is_asked_for_and_goes_with_its_pruning(make_stored_run: MakeRun, end_workers: None) -> None:
    run = make_stored_run()
    pruning = write_pruning(run)
    page = _page(run=run.id, detail="Speed")
    page.pills(key="bench_forms").set_value(["eager"])
    page.button(key="bench_submit").click().run()
    assert not page.exception
    (bench,) = derived_jobs(run, "bench")
    assert (bench.spec.pruning, bench.spec.forms) == (pruning.id, ("eager",))
    assert "its network and its 1 bench" in said(page)


def test_undo_removes_the_pruning_and_its_exports_and_nothing_of_the_run(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    other, pruning = write_pruning(run, stem="a"), write_pruning(run, stem="b")
    write_export(run, pruning)
    kept = write_export(run, other)
    before = sorted(path for path in run.path.glob("*") if path.name not in ("prune", "export"))
    page = _page(run=run.id)
    assert "its network and its 1 export" in said(page)
    page.button(key="undo").click().run()
    assert not page.exception
    assert [found.id for found in derived_jobs(run, "prune")] == [other.id]
    assert [found.id for found in derived_jobs(run, "export")] == [kept.id]
    assert page.selectbox(key="pruning").value == other.id
    assert sorted(path for path in run.path.glob("*") if path.name not in ("prune", "export")) == before


def test_what_a_worker_still_writes_is_not_removed(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    work = write_pruning(run)
    page = _page(run=run.id)
    with _working(work):
        page.button(key="undo").click().run()
        assert derived_jobs(run, "prune")


def test_a_run_trained_on_since_is_said(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    set_status(write_pruning(run), started=1.0)
    assert "the run was trained further since then" in said(_page(run=run.id))


def test_a_pruning_is_drawn_quickly_at_first_and_again(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    _page(run=run.id)  # imports
    write_pruning(run, criterion="norm", budget=50, refit_epochs=2)
    assert standard_seconds(lambda: _page(run=run.id)) < 1.0
    page = _page(run=run.id)
    assert standard_seconds(lambda: [page.run() for _ in range(5)]) / 5 < 0.3


def test_who_pays_shows_the_worst_image_of_every_task_and_the_classes(make_stored_run: MakeRun) -> None:
    run = make_stored_run(tasks=["seg", "depth"])
    work = write_judged(write_pruning(run))
    write_pictures(work)
    page = _page(run=run.id, detail="Who pays", pays="seg")
    assert not page.exception
    assert "seg: 7 of 8 images are worse with pruned than with dense; the worst tenth" in said(page)
    table = next(frame.value for frame in page.dataframe if "lost" in frame.value)
    assert (table["image"].iloc[0], table["moved"].iloc[0]) == (7, "7 %")
    assert "Image 7" in said(page)
    names = [image.caption.replace("\\", "") for row in page.get("image") for image in row.proto.imgs]
    assert names[:4] == ["input", "seg: target", "seg: dense", "seg: pruned"]
    assert names.count("input") == 2  # the other task beside it


def test_a_pruning_of_an_older_version_says_that_images_were_not_judged(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    write_pruning(run)
    page = _page(run=run.id, detail="Who pays")
    assert not page.exception
    assert any("Prune again to see who pays" in info.value for info in page.info)


def test_a_job_that_is_started_elsewhere_shuts_no_form_and_waits_to_be_chosen(make_stored_run: MakeRun) -> None:
    run = make_stored_run()
    page = _page(run=run.id)
    page.segmented_control(key="prune_criterion").set_value("norm").run()
    other = write_pruning(run)
    page.run()
    assert not page.exception
    assert page.segmented_control(key="prune_criterion").value == "norm"
    assert not page.dataframe
    assert "by now that you have not chosen" in page.info[0].value
    page.selectbox(key="pruning").set_value(other.id).run()
    assert page.dataframe
    assert page.segmented_control(key="prune_criterion").value == "norm"
    assert _page(run=run.id).dataframe


def test_a_pruning_whose_worker_cannot_be_started_says_so_for_as_long_as_it_is_shown(
    make_stored_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no process can be made")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    run = make_stored_run()
    page = _page(run=run.id)
    page.button(key="prune_submit").click().run()
    for _ in range(2):
        assert not page.exception
        assert "Its worker could not be started: no process can be made" in page.error[0].value.replace("\\", "")
        page.run()
    assert derived_jobs(run, "prune")[0].status.state == "failed"
