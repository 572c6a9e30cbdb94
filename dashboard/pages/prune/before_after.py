"""The first view of a pruning: the certificate, before and after as a table, what is left, what it costs, how fast."""

import streamlit as st

from winnow.dashboard.figures import latencies, task_changes, what_is_left
from winnow.dashboard.frames.answers.answer import count
from winnow.dashboard.frames.certificate import CertificateFile, certificate
from winnow.dashboard.frames.prunings import measures
from winnow.dashboard.pages.prune import pruning_figures
from winnow.dashboard.shared.formatting import asked_of, plain, sentence
from winnow.dashboard.shared.panel import draw, explain, source
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.specs.prune import PruneSpec

READING = (
    "Dense: the network of the run as it is. Times: the median of the rounds, with the 10th and the 90th percentile. "
    "Metrics: on the validation images; the arrow says which direction is better."
)


def before_after_view(run: Run, shown: DerivedJob) -> None:
    """Draw what the network was and what it is."""
    certificate_badge(shown)
    table, figures = st.columns([11, 9], gap="medium")
    changes, spent = pruning_figures.changes_chart(run, shown), pruning_figures.cost_charts(shown)
    with table:
        _table(run, shown)
        draw(changes, "task_changes", task_changes.READING, pruned_source(run, shown, "val"))
    with figures:
        draw(spent[0], "what_is_left", what_is_left.READING, pruned_source(run, shown))
        draw(spent[1], "latencies", latencies.READING, pruned_source(run, shown))


def certificate_badge(shown: DerivedJob) -> None:
    """Say whether the smaller network computes the same outputs, and how that was checked."""
    try:
        found = certificate(shown)
    except ValueError as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return
    if found is None:
        st.markdown(":gray-badge[:material/hourglass: no certificate yet]")
    elif found.holds:
        st.markdown(f":green-badge[:material/verified: exact] {_said(found)}")
    else:
        st.markdown(f":red-badge[:material/gpp_bad: not exact] {_said(found)}")


def pruned_source(run: Run, shown: DerivedJob, split: str = "") -> str:
    """Return what a screenshot must carry to stay true: the run, the pruning and what was asked of it."""
    asked = [plain(asked_of(shown.spec))] if isinstance(shown.spec, PruneSpec) else []
    threads = measures(shown)["threads"].drop_duplicates().tolist()
    facts = [f"{threads[0]} CPU thread{'s' if threads[0] != 1 else ''}"] if threads and not split else []
    return " · ".join([source(run, split), plain(f"pruning {shown.id}"), *asked, *facts])


def _said(found: CertificateFile) -> str:
    """Say the certificate in a sentence or two."""
    parts = [
        f"The smaller network gives the outputs of {found.compared_with}: largest relative error "
        f"{found.relative_error_float32:.1e} in float32, {found.relative_error_float64:.1e} in float64, on "
        f"{' and '.join(found.inputs) or 'no inputs'}."
    ]
    if found.elements:
        others = f", and at {count(len(found.sizes), 'other size')}" if found.sizes else ""
        parts.append(f"{found.tensors:,} output tensors with {found.elements:,} elements were compared{others}.")
    if found.relative_error_training is not None:
        parts.append(f"Largest relative error in training mode: {found.relative_error_training:.1e}.")
    parts += [f"Not compared: {what} ({why})." for what, why in found.open.items()]
    parts += ["It accepts only inputs of these sizes."] if found.fixed_sizes else []
    parts += ["It was refitted after this check."] if found.refitted_afterwards else []
    return plain(" ".join(parts))


def _table(run: Run, shown: DerivedJob) -> None:
    frame = pruning_figures.before_after_table(run, shown)
    config = st.column_config
    widths = {"what": 204, "dense": 136, "pruned": 136, "repaired": 70, "refitted": 70, "change": 128}
    st.dataframe(
        frame,
        key="before_after",
        hide_index=True,
        placeholder="–",
        height="content",
        row_height=30,
        column_config={
            name: config.TextColumn("" if name == "what" else name, width=widths[name]) for name in frame.columns
        },
    )
    explain(
        lambda: pruning_figures.before_after_table(run, shown),
        "before_after",
        READING,
        pruned_source(run, shown, "val"),
    )
