"""Networks kept on the way: real runs on digits, in this process."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file

from winnow.engine.export import load_model
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.jobs import snapshots as keeping
from winnow.engine.jobs.certificate_file import read_certificate
from winnow.engine.jobs.run_data import batches, fields
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.training_job import run_training
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs import snapshots
from winnow.engine.runs.digests import manifests
from winnow.engine.runs.run import Run, create
from winnow.engine.runs.verify import verify
from winnow.engine.runs.work_folder import WorkFolder
from winnow.engine.specs.train import parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.training.evaluate import validated

SMALL = {"widths": (8, 8), "blocks": (1, 1), "head_width": 8, "head": "aspp"}  # with dropout: the random state counts
PENALTY = {"target": 60.0, "refit": 0.25, "strength": 0.3, "strength_of": "max"}
Work = Callable[..., Run]


def spec(every: int, **changes: object):
    values = {"data": {"dataset": "digits"}, "network": SMALL, "threads": 1, "batch_size": 128, "epochs": 8}
    return parse({**values, "penalty": PENALTY, "snapshots": every, **changes})


class AfterEpoch(StopRequest):
    """True once the checkpoint of an epoch is there."""

    def __init__(self, run: Run, epoch: int) -> None:
        super().__init__(run)
        self._weights, self._epoch = run.path / "weights", epoch

    def __bool__(self) -> bool:
        return any(json.loads(file.read_text())["epoch"] >= self._epoch for file in manifests(self._weights))


@pytest.fixture(scope="module")
def work(worker_settings) -> Work:
    """Return what works on a run as its worker does, to the end or to that of an epoch."""

    def worked(run: Run, epoch: int | None = None) -> Run:
        writer = ResultWriter(run)
        ending = StopRequest(run) if epoch is None else AfterEpoch(run, epoch)
        with worker_settings():
            writer.finish(run_training(run, writer, ending))
        return run

    return worked


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, work: Work) -> Run:
    return work(create(spec(5), tmp_path_factory.mktemp("kept")))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, work: Work) -> Run:
    return work(create(spec(0), tmp_path_factory.mktemp("plain")))


def last_weights(run: Run) -> dict[str, object]:
    return load_file(manifests(run.path / "weights")[-1].with_suffix(".safetensors"))


def test_levels_are_multiples_and_each_is_the_first_time_that_it_was_reached(kept: Run):
    found = snapshots.list_snapshots(kept.path)
    shares = kept.events().query("quantity == 'group_sparsity' and split == 'model'").set_index("epoch")["value"]
    assert len(found) >= 2
    assert found[-1].level == 60
    for point in found:
        assert point.level % 5 == 0
        assert point.level <= round(point.group_sparsity, 1) < point.level + 5
        assert point.group_sparsity == shares[point.epoch]
        assert round(shares[: point.epoch - 1].max(), 1) < point.level
    assert [point.epoch for point in found] == sorted({point.epoch for point in found})


def test_a_network_kept_is_the_network_of_its_epoch(kept: Run):
    tasks = build_tasks(fields(kept.spec), kept.spec.tasks)
    images = batches(kept.spec, tasks, "val", torch.device("cpu"), lambda _: None)
    found = snapshots.list_snapshots(kept.path)
    for point in (found[0], found[-1]):
        place = snapshots.folder_of(kept.path, point.level)
        small = load_model(place)
        assert not small.training
        judged = validated(small, tasks, images)
        logged = kept.events().query(f"split == 'val' and epoch == {point.epoch}").set_index(["task", "quantity"])
        for task, values in judged.items():
            for name, value in values.items():
                assert point.metrics[task][name] == logged["value"][task, name]
                assert value == pytest.approx(point.metrics[task][name], rel=1e-3)
        assert sum(parameter.numel() for parameter in small.parameters()) == point.parameters
        certificate = read_certificate(WorkFolder(place))
        assert certificate.max_error_float64 < 1e-9
        removed = certificate.removed
        assert (removed["parameters_before"] > removed["parameters_after"]).any()


def test_sparser_networks_are_smaller_and_the_tables_say_so(kept: Run):
    table = kept.table("snapshots")
    assert table["parameters"].is_monotonic_decreasing
    assert table["parameters"].is_unique
    assert table["macs"].is_monotonic_decreasing
    assert all((kept.path / folder / "architecture.json").is_file() for folder in table["folder"])
    metrics = kept.table("snapshot_metrics")
    assert set(metrics["level"]) == set(table["level"])
    assert set(metrics["task"]) == set(kept.spec.tasks)
    assert metrics.query("metric == 'accuracy'")["higher_is_better"].all()


def test_training_is_the_same_bit_by_bit(kept: Run, plain: Run):
    one, other = last_weights(kept), last_weights(plain)
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in one)
    assert not (plain.path / "snapshots").exists()


def test_a_resumed_run_keeps_none_twice_and_comes_to_the_same(kept: Run, tmp_path: Path, work: Work):
    middle = snapshots.list_snapshots(kept.path)[0].epoch
    run = work(create(spec(5), tmp_path), middle)
    assert run.recorded_status().state == "stopped"
    before = {place.name: place.stat().st_mtime_ns for place in snapshots.snapshot_folders(run.path)}
    assert before
    work(run)
    after = {place.name: place.stat().st_mtime_ns for place in snapshots.snapshot_folders(run.path)}
    assert before.items() <= after.items()
    assert snapshots.list_snapshots(run.path) == snapshots.list_snapshots(kept.path)
    for place in snapshots.snapshot_folders(run.path):
        own = snapshots.folder_of(kept.path, int(place.name)) / "network.safetensors"
        assert (place / "network.safetensors").read_bytes() == own.read_bytes()


def test_what_comes_after_the_step_gone_back_to_is_dropped(kept: Run, tmp_path: Path):
    found = snapshots.list_snapshots(kept.path)
    for point in found:
        (tmp_path / "snapshots" / str(point.level)).mkdir(parents=True)
        (tmp_path / "snapshots" / str(point.level) / "snapshot.json").write_text(point.model_dump_json())
    (tmp_path / "snapshots" / "99").mkdir()  # says nothing
    snapshots.drop_later(tmp_path, found[0].step)
    assert [point.level for point in snapshots.list_snapshots(tmp_path)] == [point.level for point in found[:1]]
    assert len(snapshots.snapshot_folders(tmp_path)) == 1


def test_verify_reads_the_networks_kept(kept: Run, tmp_path: Path):
    files = [finding for finding in verify(kept) if finding.file.startswith("snapshots/")]
    assert len(files) == len(snapshots.snapshot_folders(kept.path))
    assert all(finding.whole for finding in verify(kept))
    file = snapshots.snapshot_folders(kept.path)[0] / "network.safetensors"
    content = file.read_bytes()
    try:
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert [finding.file for finding in verify(kept) if not finding.whole] == [
            f"snapshots/{file.parent.name}/network.safetensors"
        ]
    finally:
        file.write_bytes(content)


def test_what_a_run_starts_with_is_not_reached_by_it(kept: Run, work: Work):
    manifest = json.loads(manifests(kept.path / "weights")[-1].read_text())
    start = {"weights": {"run": kept.id, "sha256": manifest["sha256"]}}
    run = work(create(spec(5, epochs=2, start=start), kept.path.parent))
    at_start = run.events().query("quantity == 'group_sparsity' and epoch == 0")["value"].iloc[0]
    assert at_start == pytest.approx(60, abs=1)
    assert all(point.level > 60 for point in snapshots.list_snapshots(run.path))
    assert len(run.table("snapshots")) == len(snapshots.list_snapshots(run.path))


def test_a_network_that_cannot_be_kept_is_said_and_the_run_goes_on(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
):
    def refuses(*_: object, **__: object) -> None:
        raise NotTraceable("trunk.stem", "a step", "that nobody follows")

    said: list[str] = []
    status = ResultWriter.status

    def note(self: ResultWriter, **changes: object) -> None:
        said.append(str(changes.get("message", "")))
        status(self, **changes)

    monkeypatch.setattr(keeping, "compact", refuses)
    monkeypatch.setattr(ResultWriter, "status", note)
    run = work(create(spec(5, epochs=4), tmp_path))
    assert run.recorded_status().state == "done"
    assert any("there is no snapshot at" in message for message in said)
    assert not snapshots.snapshot_folders(run.path)
    assert not list(run.path.glob("snapshots/.new-*"))
