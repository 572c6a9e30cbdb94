"""What sensitivity analyses of a run's layers found (engine.jobs.sensitivity_job), read again only when it changes.

| function      | rows                 | columns                                                       |
|---------------|----------------------|---------------------------------------------------------------|
| `layer_falls` | layer × share × task | `engine.studies.layer_budgets.COLUMNS`                        |
| `suggestions` | layer                | `engine.studies.layer_budgets.SUGGESTED`, at a given tolerance |
"""

import pandas as pd

from winnow.dashboard.frames.file_versions import Version
from winnow.dashboard.frames.stored_tables import stored, stored_version
from winnow.dashboard.shared.formatting import CRITERIA, STATES, moment
from winnow.engine.runs.derived import DerivedJob, derived_jobs
from winnow.engine.runs.run import Run
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.sensitivity import SensitivitySpec
from winnow.engine.studies.layer_budgets import COLUMNS, SUGGESTED, suggested_budgets

_COLUMNS = {"sensitivity": COLUMNS, "judged_on": ("step", "images")}


def sensitivities(run: Run) -> dict[str, DerivedJob]:
    """Return the analyses of a run whose spec can be read, by id, the newest first."""
    return {work.id: work for work in derived_jobs(run, "sensitivity") if sensitivity_spec(work) is not None}


def sensitivity_spec(work: DerivedJob) -> SensitivitySpec | None:
    """Return what was asked, None where it can't be read."""
    try:
        found = work.spec
    except (OSError, SpecError, ValueError):
        return None
    return found if isinstance(found, SensitivitySpec) else None


def sensitivity_called(work: DerivedJob) -> str:
    """Return how an analysis is called in a selector: how it ended, when it was made, by which score."""
    status, spec = work.recorded_status(), sensitivity_spec(work)
    by = f" · by {CRITERIA[spec.criterion]}" if spec else ""
    return f"{STATES[status.state][0]} {moment(status.started or status.requested)}{by}"


def layer_falls(work: DerivedJob) -> pd.DataFrame:
    """Return the fall of every task at every cut that was made by now."""
    return stored(work, "sensitivity", _COLUMNS)


def falls_version(work: DerivedJob) -> Version:
    """Return when the falls were last written."""
    return stored_version(work, "sensitivity")


def suggestions(work: DerivedJob, tolerance: float) -> pd.DataFrame:
    """Return the largest share of every layer that costs each task at most `tolerance` %.

    Raises:
        ValueError: no task has a metric that can fall.

    """
    table = layer_falls(work)
    return suggested_budgets(table, tolerance) if len(table) else pd.DataFrame(columns=list(SUGGESTED))


def images_of_cuts(work: DerivedJob) -> int:
    """Return on how many validation images the cuts were judged, 0 where that is not known yet."""
    frame = stored(work, "judged_on", _COLUMNS)
    return int(frame["images"].iloc[0]) if len(frame) else 0
