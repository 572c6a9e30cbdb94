"""What a form does at the end: a folder is made, and its worker is started."""

import streamlit as st

from winnow.dashboard.forms.widgets import Values
from winnow.dashboard.shared.formatting import sentence
from winnow.engine.runs import launch
from winnow.engine.runs.derived import DerivedJob, derived_job, read
from winnow.engine.runs.run import Run, create
from winnow.engine.specs.frozen import SpecError
from winnow.engine.specs.train import TrainSpec


def start_run(spec: TrainSpec) -> Run:
    """Create a run and start its worker.

    Raises:
        ValueError: the data set can't read its files.
        JobError, OSError: the run folder can't be written, or no process can be started.

    """
    run = create(spec)
    launch.start(run)
    return run


def start_job(run: Run, values: Values, stem: str = "") -> DerivedJob | None:
    """Create a job on the result of a run and start its worker, or say in one sentence what is wrong.

    The folder is named after `stem`, or after the kind of the job. Once there is a folder, its status says why no
    worker could be started: a sentence on the page would go with the next drawing.
    """
    work = None
    try:
        work = derived_job(run, read(values), stem)
        launch.start(work)
    except (SpecError, launch.JobError, OSError) as error:
        if work is None or not launch.not_started(work, str(error)):
            st.error(sentence(str(error)), icon=":material/error:")
            return None
    return work
