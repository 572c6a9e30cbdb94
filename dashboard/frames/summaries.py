"""One line per run, cheap enough for hundreds of them.

The three sparsities and the metrics stand in the last few kilobytes of the log, and the share of groups alive follows
from the norms, so no log is read from its start. A summary is kept for as long as its files keep their size and time.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from winnow.dashboard.frames.file_versions import Version, latest, version
from winnow.dashboard.frames.groups import norms
from winnow.data.sample import Field
from winnow.engine.runs.events import checked_lines
from winnow.engine.runs.labels import NAME as LABELS
from winnow.engine.runs.labels import Labels, labels_of
from winnow.engine.runs.quantities import SPARSITIES, Metric, metrics
from winnow.engine.runs.reading import read_object
from winnow.engine.runs.run import Run, list_runs, runs_folder
from winnow.engine.runs.work_folder import LIVE, Status
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.network import RecordedSpec
from winnow.engine.specs.train import TrainSpec

RECORDED = "recorded"  # the data of a loop of the user's own
LABELS_OF = "labels of "  # begins a fact about a task in `judged_on`; another run need not have the task
TAIL = 1 << 15  # bytes: two epochs and more of a usual run


@dataclass(frozen=True)
class Summary:
    """What the table of runs knows: `newest` maps (task or None, quantity) to the last value on val or model."""

    id: str
    spec: TrainSpec | None
    status: Status
    newest: dict[tuple[str | None, str], float]
    alive: tuple[float, ...]
    labels: Labels = field(default_factory=Labels)

    @property
    def name(self) -> str:
        """The name that the user gave, last; the folder's where the spec can't be read."""
        return self.labels.name or (self.spec.name if self.spec else self.id)

    @property
    def imported(self) -> bool:
        """Whether the weights were imported whole, so that nothing was trained."""
        return bool(self.origin) and not self.status.step

    @property
    def origin(self) -> str:
        """Where a network that was not built here comes from, in words; "" of one that was."""
        network = self.spec.network if self.spec is not None else None
        return network.origin if isinstance(network, RecordedSpec) else ""

    def sparsity(self, quantity: str) -> float:
        """Return one of the three sparsities [%], NaN before the first."""
        return self.newest.get((None, quantity), np.nan)

    @property
    def has_metrics(self) -> bool:
        """Whether a metric of a task was recorded on the validation images, whatever its value."""
        return any(task is not None and quantity != "loss" for task, quantity in self.newest)

    def main_metrics(self) -> dict[str, tuple[Metric, float]]:
        """Return the metric that stands for each task, and its newest value on the validation images."""
        if self.spec is None:
            return {}
        return {task: (metric, self.newest.get((task, metric.name), np.nan)) for task, metric in tasks(self.spec)}


def summaries() -> list[Summary]:
    """Return all runs, newest first."""
    return [summary(run) for run in list_runs()]


def summary(run: Run) -> Summary:
    """Return the summary of a run; whether a live run still lives is asked anew each time."""
    files = [run.path / name for name in ("spec.json", "status.json", "events.jsonl", "groups/norms.bin", LABELS)]
    kept = _summary(run.path, tuple(version(file) for file in files))
    if kept.status.state not in LIVE:
        return kept
    return replace(kept, status=run.status)


def tasks(spec: TrainSpec) -> list[tuple[str, Metric]]:
    """Return the tasks of a spec, each with the metric that stands for it."""
    fields = spec.fields
    return [(task, metrics(fields[task])[0]) for task in spec.tasks]


def judged_on(one: Summary, split: str) -> dict[str, object]:
    """Return what decides the images of a split (val, test): runs that differ in it were judged on different images.

    Of a loop of the user's own, only the sample that is stored with the run is known: its digest stands for the images.
    A run without one is like no other. There, the same task may have another unit or other classes, which are said.
    """
    if one.spec is None:
        return {}
    others = {f"{other}_length" for other in ("train", "val", "test") if other != split} | {"cache"}
    data = one.spec.data.model_dump(mode="json")
    facts = {name: value for name, value in data.items() if name not in others}
    if data["dataset"] != RECORDED:
        return facts
    labels = {f"{LABELS_OF}{task}": _labels_of(field) for task, field in one.spec.data.fields.items()}
    stored = _stored_images(runs_folder() / one.id) or f"none, {one.id}"
    return {"dataset": RECORDED, "stored images": stored, **labels}


def _labels_of(field: Field) -> str:
    """Say what the labels of a field are: their kind, their classes, their unit."""
    classes = f"classes {', '.join(field.classes)}" if field.classes else ""
    unit = f"in {field.unit}" if field.unit != "1" else ""
    return " ".join(filter(None, (field.kind, classes, unit)))


def image_sets(known: Sequence[Summary], split: str = "val") -> dict[str, str]:
    """Return run id → the images that it was judged on, in words; runs with the same words can be compared.

    The words are the data set, and whatever differs between runs of that data set.
    """
    facts = {one.id: judged_on(one, split) for one in known if one.spec is not None}
    values: dict[tuple[object, str], set[str]] = {}
    for own in facts.values():
        for name, value in own.items():
            values.setdefault((own["dataset"], name), set()).add(str(value))
    return {
        identity: ", ".join(
            [
                str(own["dataset"]),
                *(f"{name} {value}" for name, value in own.items() if len(values[own["dataset"], name]) > 1),
            ]
        )
        for identity, own in facts.items()
    }


def _stored_images(run: Path) -> str:
    """Return the beginning of the digest of the images that are stored with a run, "" where none are."""
    try:
        return str(read_object(run / "sample" / "val.json")["sha256"])[:8]
    except (OSError, ValueError, KeyError):
        return ""


@latest(4096)
def _summary(path: Path, _versions: tuple[Version, ...]) -> Summary:
    run = Run(path)
    return Summary(
        run.id, _spec(run), run.recorded_status(), _newest(path / "events.jsonl"), _alive(run), labels_of(path)
    )


def _spec(run: Run) -> TrainSpec | None:
    try:
        return run.spec
    except (SpecError, ValueError, OSError):
        return None


def _newest(path: Path) -> dict[tuple[str | None, str], float]:
    """Return the last value of every quantity on val and model, from the tail of the log where that is enough."""
    if path.is_dir():
        return {}  # damaged: what verify says of it
    found = _values(_lines(path, TAIL))
    return found if set(SPARSITIES) <= {quantity for _, quantity in found} else _values(_lines(path))


def _values(lines: Iterable[bytes]) -> dict[tuple[str | None, str], float]:
    """Return the last values; only lines that name a wanted split are parsed, a tenth of them."""
    wanted = b"".join(line for line in lines if b'"val"' in line or b'"model"' in line)
    records, _ = checked_lines(wanted)
    return {
        (record["task"], record["quantity"]): np.nan if record["value"] is None else float(record["value"])
        for record in json.loads(b"[" + b",".join(records.splitlines()) + b"]")  # at once: thrice as fast
        if record["split"] in ("val", "model")
    }


def _lines(path: Path, last: int | None = None) -> list[bytes]:
    """Return the whole lines of a log, or those of about its `last` bytes; a frame of them takes ten times as long."""
    size, _ = version(path)
    if not size:
        return []
    with path.open("rb") as file:
        if last is not None and size > last:
            file.seek(size - last)
            file.readline()
        return [line + b"\n" for line in file.read().split(b"\n")[:-1]]


def _alive(run: Run) -> tuple[float, ...]:
    """Return the share of groups alive [%] after each epoch, at most 40 of them."""
    try:
        values = norms(run).values
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    if not values.size:
        return ()
    shares = 100 * (values > 0).mean(axis=1)
    chosen = np.unique(np.linspace(0, len(shares) - 1, 40).round().astype(int))
    return tuple(shares[chosen].round(1).tolist())
