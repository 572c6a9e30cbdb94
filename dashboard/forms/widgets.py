"""One leaf of a spec as one widget: default, limits and explanation are the leaf's own.

The widget's key is the name of the form, `_` and the name of the leaf. It redraws nothing: what was entered travels
with the next click. An optional leaf left empty is not set.
"""

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import streamlit as st
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from winnow.dashboard.shared.formatting import COUNTED

LABELS = {
    "size": "Image side [px]",
    "train_length": "Training images",
    "val_length": "Validation images",
    "strength": "Strength λ",
    "strength_of": "Unit of the strength",
    "target": "Target [%]",
    "target_of": "Share of the",
    "penalty": "Kind of penalty",
    "scope": "Penalised part",
    "weights": "Group weights",
    "mix": "Mix α",
    "concavity": "Concavity γ",
    "warm_up": "Warm-up [epochs]",
    "ramp": "Ramp [epochs]",
    "refit": "Refit [part of run]",
    "floor": "Floor [part of layer]",
    "removal": "Removal every [epochs]",
    "balancing": "Method",
    "gradients": "Compared at",
    "asymmetry": "Asymmetry α",
    "weights_rate": "Rate of the weights",
    "radius": "Radius c",
    "record_every": "Record every [steps]",
    "bf16": "bfloat16",
    "accumulate": "Micro-batches per step",
    "budget": "Budget [%]",
    "budget_of": "Share of the",
    "compared": "Norms compared by",
    "relevance_images": "Images for relevance",
    "refit_epochs": "Refit [epochs]",
    "batches": "Batch sizes to time",
    "rounds": "Rounds of timing",
    "of": "What is explained",
    "fill": "In place of a channel",
    "ablations": "Ablations [per layer]",
    "ablation_images": "Images for ablation",
    "maps": "Images to map",
    "map_channels": "Channels to map [per task]",
    "onnx": "ONNX Runtime",
    "targets": "Targets [%]",
    "strengths": "Strengths [λ_max]",
    "subsets": "Sets of tasks",
    "definition": "Δ_m shown",
    "workers": "Runs at a time",
    "latency": "Time what is left",
    "warm": "Warm start",
    "snapshots": "Keep a network every [%]",
}
Values = dict[str, Any]


def leaf(model: type[BaseModel], name: str, default: Any = None, form: str = "new") -> Any:
    """Draw the widget of one leaf of a spec, with its own default unless one is given, and return its raw value."""
    info = model.model_fields[name]
    label = LABELS.get(name, name.replace("_", " ").capitalize())
    if default is None:
        default = info.get_default(call_default_factory=True)
    about: Values = {"key": f"{form}_{name}", "help": info.description, "on_change": "ignore"}
    if get_origin(info.annotation) is Literal:
        options = get_args(info.annotation)
        return st.selectbox(label, options, index=options.index(default), format_func=_said, **about)
    if isinstance(default, bool):
        return st.toggle(label, value=default, **about)
    if isinstance(default, tuple):
        return _numbers(st.text_input(label, ", ".join(map(str, default)), **about))
    if isinstance(default, dict):
        return _by_name(st.text_input(label, "", placeholder="not set", **about))
    if isinstance(default, str):
        return st.text_input(label, default, max_chars=80, **about)
    return _number(label, default, info, about)


def line(model: type[BaseModel], names: list[str], title: str = "", form: str = "new") -> Values:
    """Draw some leaves of a model side by side, four to a line."""
    if title:
        st.markdown(f"**{title}**")
    values: Values = {}
    for first in range(0, len(names), 4):
        for column, name in zip(st.columns(4, vertical_alignment="bottom"), names[first : first + 4], strict=False):
            with column:
                values[name] = leaf(model, name, form=form)
    return values


def _number(label: str, default: float | None, info: FieldInfo, about: Values) -> float | None:
    """Draw a number within the limits of its leaf; a small fraction gets an exponent, as strengths span decades."""
    kinds, limits = _kinds(info)
    kind: type[int] | type[float] = int if int in kinds else float
    lows = [bound.ge if isinstance(bound, Ge) else bound.gt for bound in limits if isinstance(bound, Ge | Gt)]
    highs = [bound.le if isinstance(bound, Le) else bound.lt for bound in limits if isinstance(bound, Le | Lt)]
    low, high = (_bound(bounds, kind) for bounds in (lows, highs))
    scale: Values = {"step": 1} if kind is int else {"step": _step(default, high), "format": _format(default)}
    empty: Values = {"placeholder": "not set"} if NoneType in kinds else {}
    value: float | None = st.number_input(
        label,
        value=None if default is None else kind(default),
        min_value=low,
        max_value=high,
        **scale,
        **empty,
        **about,
    )
    return value


def _kinds(info: FieldInfo) -> tuple[list[Any], list[Any]]:
    """Return the types that a leaf may have, and its limits, those of an annotated type included."""
    whole = info.annotation
    parts = get_args(whole) if isinstance(whole, UnionType) or get_origin(whole) is Union else (whole,)
    limits = list(info.metadata)
    for part in parts:
        for extra in get_args(part)[1:] if get_origin(part) is Annotated else ():
            limits += getattr(extra, "metadata", None) or [extra]
    return [get_args(part)[0] if get_origin(part) is Annotated else part for part in parts], limits


def _bound(bounds: list[Any], kind: type[int] | type[float]) -> float | None:
    """Return the bound that a browser can keep: its integers are exact below 2⁵³."""
    return kind(bounds[0]) if bounds and float(bounds[0]) < 2**53 else None


def _step(default: float | None, high: float | None) -> float:
    """Return by how much the arrows move a fraction: a twentieth of its range, or a tenth of its default."""
    return high / 20 if high is not None and high < 1000 else (default or 1.0) / 10


def _format(default: float | None) -> str:
    """Return how a fraction is written: with an exponent where it is small, as it then spans decades."""
    return "%.2e" if default and default < 0.01 else "%.4g"


def _said(option: str) -> str:
    """Say an option in words."""
    return COUNTED.get(option, option.replace("_", " "))


def _numbers(text: str) -> list[str]:
    """Split "24, 48" into its entries; the spec turns them into numbers or says which is none."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _by_name(text: str) -> dict[str, str]:
    """Split "seg=1, depth=2" into names and numbers; the spec says what is none."""
    pairs = [entry.partition("=") for entry in _numbers(text)]
    return {name.strip(): value.strip() for name, _, value in pairs}
