"""What a bench says: the best form of each network, where the time of the small one went, and a sentence on it."""

import numpy as np
import pandas as pd

from winnow.engine.measure.forms import FORMS
from winnow.engine.measure.roofline import REST

DENSE, MASKED, COMPACT = "dense", "masked", "compact"
EXACT = tuple(form for form in FORMS if form != "int8")
NAMES = {
    "eager": "plain torch",
    "folded": "torch with folded norms",
    "compiled": "compiled torch",
    "onnxruntime": "ONNX Runtime",
    "int8": "ONNX Runtime in int8",
}
PARTS = {
    "gather": "gathering channels",
    "launch": "the fixed time of each operation",
    "memory": "memory traffic",
    "padding": "channels that do not fill a block",
    "kernel": "lower FLOP/s on narrow layers",
}
PASSES, BETWEEN, UNEVEN = (
    "norms, activations and pooling",
    "operations between layers",
    "fewer MACs saved where time is",
)


def lost_by_cause(layers: pd.DataFrame) -> pd.DataFrame:
    """Return what the time beyond the promise went to: cause, seconds, share [%] of all losses, the largest first.

    The promise is the dense network's time ÷ the ratio of MACs. A cause that gained time has negative seconds and no
    share: the seconds add up to what was lost in all.

    Examples:
        >>> one = {"layer": "conv", "macs_dense": 2.0, "macs_compact": 1.0}
        >>> one |= {"seconds_dense": 4.0, "seconds_compact": 3.0, "promised": 2.0}
        >>> one |= {"gather": 0.75, "launch": 0.0, "memory": 0.0, "padding": 0.25, "kernel": 0.0}
        >>> lost_by_cause(pd.DataFrame([one])).set_index("cause")["share"].round().to_dict()["gathering channels"]
        75.0

    """
    weighted = layers["macs_dense"] > 0
    between = layers["layer"] == REST
    whole = layers["macs_dense"].sum()
    ratio = layers["macs_compact"].sum() / whole if whole else 1.0
    beyond = layers["seconds_compact"] - ratio * layers["seconds_dense"]
    found = {words: float(layers.loc[weighted & ~between, part].sum()) for part, words in PARTS.items()}
    uneven = (layers["promised"] - ratio * layers["seconds_dense"])[weighted & ~between]
    found |= {PASSES: float(beyond[~weighted & ~between].sum()), BETWEEN: float(beyond[between].sum())}
    found |= {UNEVEN: float(uneven.sum())}
    losses = sum(max(seconds, 0.0) for seconds in found.values())
    rows = [[cause, seconds, 100 * max(seconds, 0.0) / losses if losses else 0.0] for cause, seconds in found.items()]
    frame = pd.DataFrame(rows, columns=["cause", "seconds", "share"])
    return frame.sort_values("seconds", ascending=False, kind="stable", ignore_index=True)


def best_forms(speeds: pd.DataFrame) -> pd.DataFrame:
    """Return, per form, batch and threads, the best compact time beside the best dense one: the layouts may differ.

    Columns: form, batch, threads, dense, compact [s], speed_up, achieved (of the ratio of MACs), steady.
    """
    keys = ["form", "batch", "threads"]
    best = speeds.loc[speeds.groupby(["model", *keys], sort=False)["median"].idxmin()]
    named = {name: best[best["model"] == name].set_index(keys).add_suffix(f"_{name}") for name in (DENSE, COMPACT)}
    joined = named[DENSE].join(named[COMPACT], how="inner").reset_index()
    ratio = joined["median_dense"] / joined["median_compact"]
    return joined[keys].assign(
        dense=joined["median_dense"],
        compact=joined["median_compact"],
        speed_up=ratio,
        achieved=ratio * joined["macs_compact"] / joined["macs_dense"],
        steady=joined["steady_dense"].astype(bool) & joined["steady_compact"].astype(bool),
    )


def in_a_sentence(speeds: pd.DataFrame, lost: pd.DataFrame) -> str:
    """Say how fast the compact network is in its fastest exact form, for the first batch, and what is missing."""
    best = best_forms(speeds)
    best = best[best["form"].isin(EXACT) & (best["batch"] == speeds["batch"].iloc[0])]
    if best.empty:
        return "The compact network could not be timed beside the dense one."
    row = best.loc[best["compact"].idxmin()]
    known = bool(np.isfinite(row["achieved"]))
    said = (
        f"Compact runs {row['speed_up']:.1f} × as fast as dense at batch {row['batch']:.0f} in "
        f"{NAMES[str(row['form'])]} ({_threads(int(row['threads']))}); "
        + (f"{100 * row['achieved']:.0f} % of what its MACs promise." if known else "its MACs are not known.")
    )
    missing = lost[lost["share"] >= 5].head(3)
    if len(missing) and row["achieved"] < 1:
        parts = [f"{cause} ({share:.0f} %)" for cause, share in zip(missing["cause"], missing["share"], strict=True)]
        said += f" What is missing, as measured in plain torch: {', '.join(parts)}."
    return said if row["steady"] else f"{said} The machine was busy: do not quote the times."


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"
