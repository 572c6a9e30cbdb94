"""What training has taken so far, to say beforehand what more of it will."""

from statistics import median

from winnow.dashboard.frames.summaries import Summary, summaries
from winnow.dashboard.shared.formatting import elapsed
from winnow.engine.specs.train import TrainSpec

ALIKE = ("data", "network", "threads", "devices")


def per_epoch(spec: TrainSpec) -> float | None:
    """Return the seconds that an epoch of runs like `spec` has taken: their median; None where there is none.

    Alike are runs that have ended, of the same data and network on as many threads and devices; the number of tasks is
    not looked at, as the trunk takes most of the time.
    """
    took = [_seconds(known) for known in summaries() if known.status.state == "done" and _alike(known, spec)]
    known = [seconds for seconds in took if seconds is not None]
    return median(known) if known else None


def _alike(known: Summary, spec: TrainSpec) -> bool:
    other = known.spec
    return other is not None and all(getattr(other, name) == getattr(spec, name) for name in ALIKE)


def _seconds(known: Summary) -> float | None:
    took = elapsed(known.status)
    return took / known.status.epoch if took and known.status.epoch else None
