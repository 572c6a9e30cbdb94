"""A run again with one field changed: from the start, or forked from its newest checkpoint."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from winnow.dashboard.forms.starting import start_run
from winnow.dashboard.shared.entries import entered, entered_place
from winnow.dashboard.shared.formatting import sentence
from winnow.engine.runs.digests import manifests
from winnow.engine.runs.launch import JobError
from winnow.engine.runs.reading import read_object
from winnow.engine.runs.run import Run
from winnow.engine.specs.train import TrainSpec, parse

FIELDS: Mapping[str, tuple[str, str]] = {
    "strength λ": ("penalty", "strength"),
    "target [%]": ("penalty", "target"),
    "seed": ("", "seed"),
    "epochs": ("", "epochs"),
    "batch size": ("", "batch_size"),
    "learning rate": ("optimiser", "learning_rate"),
    "floor": ("penalty", "floor"),
}
WHOLE = ("seed", "epochs", "batch_size")
FORKED = (
    "The weights are those of the newest checkpoint; the optimiser and the schedule start anew. The penalty acts from "
    "there, after its warm-up."
)


def changed_spec(run: Run, part: str, name: str, value: float, fork: bool) -> TrainSpec:
    """Return the spec of a run with one field changed, and with its newest weights as the start where `fork` is set.

    A strength takes the place of a target, which would move it; a target takes that of strengths asked for at steps.

    Raises:
        ValueError: a value that the spec refuses, or a fork of a run without a checkpoint.

    """
    spec = run.spec.model_dump(mode="json")
    (spec[part] if part else spec)[name] = int(value) if name in WHOLE else value
    if name == "strength":
        spec["penalty"]["target"] = None
    spec["name"] = f"{spec['name']}, {name.replace('_', ' ')} {value:g}"[:100]
    if "strength_changes" in spec:
        spec["strength_changes"] = []
    spec["target_changes"] = []
    if fork:
        known = manifests(run.path / "weights")
        if not known:
            raise ValueError(f"`run` must have a checkpoint to be forked, got none in {run.id}. Train an epoch first.")
        digest = read_object(known[-1]).get("sha256")
        spec["start"] = {"weights": {"run": run.id, "sha256": digest}}
    return parse(spec)


def again(run: Run) -> Run | None:
    """Ask which field to change; return the run that was started, if one was."""
    if not run.spec.network.ours or getattr(run.spec.data, "dataset", "") == "recorded":
        return None
    with st.popover("Again, with one field changed", icon=":material/content_copy:", type="tertiary"):
        title = st.selectbox("Field", list(FIELDS), index=entered_place("again_field", FIELDS), key="again_field")
        part, name = FIELDS[title]
        now = _value(run.spec, part, name)
        whole, key = name in WHOLE, f"again_{name}_{run.id}"
        value: Any = st.number_input(
            f"{title}, now {'not set' if now is None else f'{now:g}'}",
            value=entered(key, None if now is None else int(now) if whole else float(now)),
            step=1 if whole else None,
            format=None if whole else "%.4g",
            key=key,
        )
        key = f"again_fork_{run.id}"
        fork = st.toggle("Fork: start with the newest weights of this run", entered(key, False), key=key, help=FORKED)
        if not st.button("Start", key="again_start", type="primary", icon=":material/play_arrow:"):
            return None
        if value is None or (value == now and not fork):
            st.error("Change the value first: the same description gives the same run.", icon=":material/error:")
            return None
        try:
            return start_run(changed_spec(run, part, name, value, fork))
        except (JobError, OSError, ValueError) as error:
            st.error(sentence(str(error)), icon=":material/error:")
            return None


def _value(spec: TrainSpec, part: str, name: str) -> float | None:
    found = getattr(getattr(spec, part) if part else spec, name)
    return None if found is None else float(found)
