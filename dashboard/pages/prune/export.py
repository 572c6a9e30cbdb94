"""The files of a pruned network: written by a job of their own, each offered for download, and read when clicked."""

from pathlib import Path

import pandas as pd
import streamlit as st

from winnow.dashboard.forms.starting import start_job
from winnow.dashboard.frames.exports import exports, files
from winnow.dashboard.shared.controls import resume
from winnow.dashboard.shared.entries import entered
from winnow.dashboard.shared.formatting import amount, plain
from winnow.dashboard.shared.progress import message, state_line
from winnow.dashboard.shared.run_bar import redrawn
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE, UNFINISHED
from winnow.engine.specs.export import ExportSpec, Format

EVERY = 1.0  # s
FORMATS: dict[Format, str] = {
    "safetensors": "weights and architecture",
    "onnx": "ONNX",
    "torch": "torch.export program",
    "card": "model card",
    "model-explorer": "Model Explorer",
}
MEANING = (
    "Each file that holds the network is compared with the pruned one before it is offered. No file needs the dense "
    "network, and none contains a pickle. Writing takes some seconds. The files for Model Explorer show the run's "
    "network before the pruning: a graph, and a file for each figure that its nodes can be coloured by."
)


def export(run: Run, shown: DerivedJob) -> None:
    """Offer to write files, and those that were written."""
    if shown.status.state != "done":
        st.info("The network can be exported once the pruning is done.", icon=":material/hourglass:")
        return
    _new(run, shown)
    known = _known(run, shown)
    live = any(found.status.state in LIVE for found in known)
    redrawn(_list, EVERY if live else None, shown, run, live)


def _known(run: Run, shown: DerivedJob) -> list[DerivedJob]:
    """Return the exports of a pruning, and behind them those of the run itself, newest first."""
    return [*exports(run, shown.id), *exports(run, "")]


def _new(run: Run, shown: DerivedJob) -> None:
    """Ask for the formats, and start the job."""
    chosen = st.pills(
        "Formats",
        list(FORMATS),
        selection_mode="multi",
        default=entered("export_formats", list(ExportSpec.model_fields["formats"].default)),
        format_func=FORMATS.__getitem__,
        key="export_formats",
    )
    st.caption(MEANING)
    if st.button("Write files", key="export_submit", type="primary", icon=":material/save:"):
        values = {"kind": "export", "pruning": shown.id, "formats": chosen}
        if start_job(run, values):
            st.rerun()


def _list(shown: DerivedJob, run: Run, drawn_live: bool) -> None:
    """List the exports, newest first; once none is live any more, draw the whole page once more."""
    known = _known(run, shown)
    if drawn_live and all(found.status.state not in LIVE for found in known):
        st.rerun()
    for found in known:
        _export(found)


def _export(found: DerivedJob) -> None:
    status = found.status
    state_line(status, [plain(found.id)])
    if status.state in LIVE:
        st.progress(min(max(status.progress, 0.0), 1.0), text=plain(status.phase))
    message(status)
    if status.state in UNFINISHED:
        resume(found, "Write again", f"export_{found.id}_", primary=False)
    for _, row in files(found).iterrows():
        _file(found, str(row["file"]), _facts(float(row["bytes"]), row["max_error"], row["sha256"]))


def _facts(size: float, error: object, digest: object) -> str:
    facts = [amount(size, "B")]
    if isinstance(error, float) and pd.notna(error):
        facts.append("the same bits" if error == 0 else f"largest relative difference {error:.1e}")
    if isinstance(digest, str):
        facts.append(f"SHA-256 {digest[:12]}…")
    return " · ".join(facts)


def _file(found: DerivedJob, name: str, facts: str) -> None:
    path: Path = found.path / "files" / name
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            plain(name),
            data=path.read_bytes,
            file_name=name,
            mime="application/octet-stream",
            key=f"file_{found.id}_{name}",
            icon=":material/download:",
            on_click="ignore",
        )
        st.caption(plain(facts))
