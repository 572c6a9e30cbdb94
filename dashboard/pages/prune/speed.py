"""How fast is it? A bench of the pruned network: a sentence, its times in every form, and where the time goes."""

import pandas as pd
import streamlit as st

from winnow.dashboard.forms.starting import start_job
from winnow.dashboard.frames.answers.answer import percent
from winnow.dashboard.frames.benches import bench_sentence, bench_table, benches
from winnow.dashboard.frames.run_images import ONLY_SAMPLE, only_sampled
from winnow.dashboard.pages.prune.before_after import pruned_source
from winnow.dashboard.shared.controls import resume, stop_button
from winnow.dashboard.shared.entries import entered_options
from winnow.dashboard.shared.formatting import amount, plain, spread
from winnow.dashboard.shared.panel import explain
from winnow.dashboard.shared.progress import message, state_line
from winnow.dashboard.shared.run_bar import redrawn
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.work_folder import LIVE, UNFINISHED
from winnow.engine.specs.bench import BenchSpec, FormName

EVERY = 1.0  # s
FORMS: dict[FormName, str] = {
    "eager": "torch",
    "folded": "torch, norms folded",
    "compiled": "torch.compile",
    "onnxruntime": "ONNX Runtime",
    "int8": "ONNX Runtime, int8",
}
STOPPING = "The bench stops after this step and keeps no figures."
MEANING = (
    "Times the dense, the masked and the compact network in turns, for one image and for 16, with one and two threads. "
    "Run nothing else on this machine at the same time."
)
SPEEDS = (
    "The median time of a forward pass, with the 10th and the 90th percentile over rounds taken in turns. Speed-up: "
    "over the dense network in the same form and layout. Of the promise: the speed-up ÷ the ratio of MACs. "
    "Masked: zeros in place."
)
LOST = (
    "How much longer the compact network takes than its MACs promise, in plain torch, and why. A negative time is a "
    "gain; the times add up to the whole."
)
LAYERS = (
    "One row per layer in plain torch: time, FLOP/s, and what limits it, according to the measured peaks of this "
    "machine. Lost: the time beyond what the layer's MACs promise."
)
METRICS = (
    "A network that is quantised after training gives other outputs. These are its metrics on the validation images."
)


def speed_view(run: Run, shown: DerivedJob) -> None:
    """Offer a bench, and draw the newest one that is done."""
    if shown.status.state != "done":
        st.info("The network can be timed once the pruning is done.", icon=":material/hourglass:")
        return
    known = benches(run, shown.id)
    live = any(found.status.state in LIVE for found in known)
    done = next((found for found in known if found.status.state == "done"), None)
    if done is not None:
        _drawn(run, shown, done)
    if not live:
        _new(run, shown)
    redrawn(_list, EVERY if live else None, shown, run, live)


def _new(run: Run, shown: DerivedJob) -> None:
    """Ask for the forms, and start the job."""
    sampled = only_sampled(run)
    forms = [form for form in FORMS if not (sampled and form == "int8")]
    key = f"bench_forms{'_sampled' if sampled else ''}"  # other options, another widget
    chosen = st.pills(
        "Forms",
        forms,
        selection_mode="multi",
        default=entered_options(key, forms, BenchSpec.model_fields["forms"].default),
        format_func=FORMS.__getitem__,
        key=key,
    )
    st.caption(MEANING)
    if sampled:
        st.caption(ONLY_SAMPLE.format("int8, whose ranges are measured on training images"))
    values = {"kind": "bench", "pruning": shown.id, "forms": chosen}
    if st.button("Time it", key="bench_submit", type="primary", icon=":material/speed:") and start_job(run, values):
        st.rerun()


def _list(shown: DerivedJob, run: Run, drawn_live: bool) -> None:
    """Say how far a live bench is, or why the last one ended; draw the page once more when it has ended."""
    known = benches(run, shown.id)
    if drawn_live and all(found.status.state not in LIVE for found in known):
        st.rerun()
    for found in [one for one in known if one.status.state != "done"][:1]:
        status = found.status
        state_line(status, [plain(found.id)])
        if status.state in LIVE:
            st.progress(min(max(status.progress, 0.0), 1.0), text=plain(status.phase))
            stop_button(found, STOPPING)
        message(status)
        if status.state in UNFINISHED:
            resume(found, "Time again", f"bench_{found.id}_", primary=False)


def _drawn(run: Run, shown: DerivedJob, bench: DerivedJob) -> None:
    said = pruned_source(run, shown) + plain(f" · bench {bench.id}")
    st.markdown(f"**{plain(bench_sentence(bench))}**")
    speeds = bench_table(bench, "speeds")
    _shown(_speeds(speeds), "bench_speeds")
    explain(lambda: speeds, "bench_speeds", SPEEDS, said)
    lost, layers, metrics = (bench_table(bench, name) for name in ("lost", "layers", "metrics"))
    _shown(_lost(lost), "bench_lost")
    explain(lambda: lost, "bench_lost", LOST, said)
    with st.expander("Layer by layer", icon=":material/layers:"):
        _shown(_layers(layers), "bench_layers")
        explain(lambda: layers, "bench_layers", LAYERS, said)
    if len(metrics):
        _shown(_metrics(metrics), "bench_metrics")
        explain(lambda: metrics, "bench_metrics", METRICS, said)
    for _, row in bench_table(bench, "left_out").iterrows():
        st.caption(plain(f"Not timed: {row['model']} {row['form']}. {row['reason']}"))


def _shown(frame: pd.DataFrame, key: str) -> None:
    long = len(frame) > 12
    st.dataframe(frame, key=key, hide_index=True, placeholder="–", height=400 if long else "content", row_height=30)


def _speeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the times in words, what is compared with dense below it."""
    rows = [
        {
            "form": FORMS.get(row["form"], row["form"]),
            "layout": row["layout"],
            "batch": int(row["batch"]),
            "threads": int(row["threads"]),
            "network": row["model"],
            "time": spread(row["median"], row["low"], row["high"], "s") + ("" if row["steady"] else ", busy"),
            "speed-up": f"{row['speed_up']:.2f} × ({row['speed_up_low']:.2f}–{row['speed_up_high']:.2f})",
            "of the promise": percent(100 * row["achieved"]) if row["model"] == "compact" else "",
            "file": amount(row["bytes"], "B"),
            "peak memory": amount(row["peak_bytes"], "B"),
        }
        for _, row in frame.sort_values(["form", "layout", "batch", "threads"], kind="stable").iterrows()
    ]
    return pd.DataFrame(rows)


def _lost(frame: pd.DataFrame) -> pd.DataFrame:
    times = [amount(abs(value), "s") for value in frame["seconds"]]
    signed = [f"−{time}" if value < 0 else time for time, value in zip(times, frame["seconds"], strict=True)]
    return pd.DataFrame(
        {"lost to": frame["cause"], "time": signed, "share": [percent(value) for value in frame["share"]]}
    )


def _layers(frame: pd.DataFrame) -> pd.DataFrame:
    said: dict[str, object] = {"layer": frame["layer"], "kind": frame["kind"]}
    for name, title, unit in (("macs", "MACs", "1"), ("bytes", "moved", "B"), ("seconds", "time", "s")):
        for of in ("dense", "compact"):
            said[f"{title}, {of}"] = [amount(value, unit) for value in frame[f"{name}_{of}"]]
    for of in ("dense", "compact"):
        said[f"GFLOP/s, {of}"] = [f"{value / 1e9:.1f}" if value else "–" for value in frame[f"flops_{of}"]]
        said[f"limited by, {of}"] = frame[f"bound_{of}"]
    said["lost"] = [f"{'−' if value < 0 else ''}{amount(abs(value), 's')}" for value in frame["lost"]]
    return pd.DataFrame(said)


def _metrics(frame: pd.DataFrame) -> pd.DataFrame:
    named = frame.assign(of=frame["model"] + ", " + frame["form"])
    wide = named.pivot_table(index=["task", "metric", "unit"], columns="of", values="value", sort=False)
    return wide.reset_index().rename_axis(columns=None)
