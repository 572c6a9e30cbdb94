"""One field of a spec as one widget: default, limits and explanation are the field's own.

The widget's key is the name of the form, `_` and the name of the field. It does not redraw the page: what was entered
is sent with the next click. An optional field that is left empty is not set.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import streamlit as st
from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from winnow.dashboard.shared.entries import entered, entered_place, keep_entries
from winnow.dashboard.shared.formatting import COUNTED

PER_ROW = 4
LONGEST = 1000  # characters of a text whose field sets no limit
LABELS = {
    "size": "Image side [px]",
    "train_length": "Training images",
    "val_length": "Validation images",
    "test_length": "Test images",
    "strength": "Strength λ",
    "strength_of": "Unit of the strength",
    "target": "Target [%]",
    "target_of": "Share of the",
    "latency_batch": "Images per pass",
    "penalty": "Kind of penalty",
    "scope": "Penalised part",
    "weights": "Group weights",
    "mix": "Mix α",
    "concavity": "Concavity γ",
    "warm_up": "Warm-up [epochs]",
    "ramp": "Ramp [epochs]",
    "refit": "Refit [share of run]",
    "floor": "Floor [share of layer]",
    "removal": "Removal every [epochs]",
    "balancing": "Method",
    "gradients": "Compared at",
    "asymmetry": "Asymmetry α",
    "weights_rate": "Rate of the task weights",
    "radius": "Radius c",
    "record_every": "Record every [steps]",
    "bf16": "bfloat16",
    "patience": "Patience [epochs]",
    "keep": "Network to keep",
    "test": "Evaluate on the test split",
    "accumulate": "Micro-batches per step",
    "budget": "Budget [%]",
    "budget_of": "Share of the",
    "compared": "Norms compared by",
    "relevance_images": "Images for relevance",
    "criterion": "Cut first",
    "shares": "Shares to cut [%]",
    "tolerance": "Tolerance [%]",
    "refit_epochs": "Refit [epochs]",
    "batches": "Batch sizes to time",
    "rounds": "Rounds of timing",
    "of": "Quantity explained",
    "fill": "Replacement of a channel",
    "ablations": "Ablations [per layer]",
    "ablation_images": "Images for ablation",
    "maps": "Images to map",
    "map_channels": "Channels to map [per task]",
    "onnx": "ONNX Runtime",
    "targets": "Targets [%]",
    "strengths": "Strengths [λ_max]",
    "subsets": "Sets of tasks",
    "unseen": "Unseen tasks",
    "learned": "Learn λ",
    "held_out": "Held out [share of training images]",
    "learn_every": "Move λ every [steps]",
    "horizon": "Horizon [steps]",
    "learn_tolerance": "Allowed cost [standard errors]",
    "definition": "Δ_m shown",
    "distillation": "Imitation [0–1]",
    "workers": "Runs at a time",
    "latency": "Time the smaller network",
    "warm": "Warm start",
    "snapshots": "Keep a network every [%]",
}
FOLDS = "folds"  # in the session: key of a folded form → whether it was open at first
SHUT = "shut_form"  # too: the key of the one that is to be folded
Values = dict[str, Any]
Option = TypeVar("Option", bound=str)


def field_widget(model: type[BaseModel], name: str, default: Any = None, form: str = "new") -> Any:
    """Draw the widget of one field of a spec, with its own default unless one is given, and return its raw value."""
    info = model.model_fields[name]
    label = field_label(model, name)
    if default is None and not info.is_required():
        default = info.get_default(call_default_factory=True)
    key = f"{form}_{name}"
    about: Values = {"key": key, "help": info.description, "on_change": "ignore"}
    if get_origin(info.annotation) is Literal:
        options = get_args(info.annotation)
        index = entered_place(key, options, options.index(default))
        return st.selectbox(label, options, index=index, format_func=option_label, **about)
    if isinstance(default, bool):
        return st.toggle(label, value=entered(key, default), **about)
    if isinstance(default, tuple):
        return _entries(st.text_input(label, entered(key, ", ".join(map(str, default))), **about))
    if isinstance(default, dict):
        return _by_name(st.text_input(label, entered(key, ""), placeholder="not set", **about))
    if str in _kinds(info)[0]:
        return st.text_input(label, entered(key, default or ""), max_chars=_longest(info), **about)
    return _number(label, default, info, about)


def one_of(label: str, names: Mapping[Option, str], key: str, usual: Option, quiet: bool = False) -> Option:
    """Let the user choose one of a few options (option → name), which redraws the page; `quiet` hides the label."""
    return st.segmented_control(
        label,
        list(names),
        format_func=names.__getitem__,
        default=entered(key, usual, lambda held: held if held in names else usual),
        required=True,
        key=key,
        label_visibility="collapsed" if quiet else "visible",
    )


@dataclass(frozen=True)
class Usual:
    """Fields that a data set has of its own, with its defaults, None for that of the field.

    Each has a widget of its own: what was entered for one data set is never taken for another.
    """

    dataset: str
    values: Mapping[str, Any]

    def widget(self, model: type[BaseModel], name: str, form: str = "new") -> Any:
        """Draw the widget of a field as `field_widget` does, with the data set's default where it has one."""
        if name not in self.values:
            return field_widget(model, name, form=form)
        return field_widget(model, name, self.values[name], f"{form}_{self.dataset}")


NOTHING = Usual("", MappingProxyType({}))


def folded_form(label: str, key: str, draw: Callable[[], None], expanded: bool = False) -> None:
    """Draw a form under a line that opens it; while it is closed, the browser has none of its fields to draw.

    It opens again as it was left. Whether it is open at first is asked once: it is never shut while it is filled in.
    """
    keep_entries()
    if st.session_state.pop(SHUT, None) == key:
        st.session_state[key] = False
    begun: dict[str, bool] = st.session_state.setdefault(FOLDS, {})
    fold = st.expander(
        label, expanded=begun.setdefault(key, expanded), icon=":material/add:", key=key, on_change="rerun"
    )
    if fold.open:
        with fold:
            draw()


def shut_form(key: str) -> None:
    """Fold a form when the page is drawn next: what it asked for was started."""
    st.session_state[SHUT] = key


def field_row(
    model: type[BaseModel], names: Iterable[str], title: str = "", form: str = "new", usual: Usual = NOTHING
) -> Values:
    """Draw some fields of a spec side by side, four to a row."""
    if title:
        st.markdown(f"**{title}**")
    values: Values = {}
    for row in _rows(list(names)):
        for column, name in zip(st.columns(PER_ROW, vertical_alignment="bottom"), row, strict=False):
            with column:
                values[name] = usual.widget(model, name, form)
    return values


def _rows(names: list[str]) -> list[list[str]]:
    return [names[first : first + PER_ROW] for first in range(0, len(names), PER_ROW)]


def field_label(model: type[BaseModel], name: str) -> str:
    """Return what a field is called in a form: its title, or its name in words."""
    return model.model_fields[name].title or LABELS.get(name, name.replace("_", " ").capitalize())


def option_label(option: str) -> str:
    """Return what a choice is called in a form."""
    return COUNTED.get(option, option.replace("_", " "))


def _number(label: str, default: float | None, info: FieldInfo, about: Values) -> float | None:
    """Draw a number within the limits of its field; a small fraction gets an exponent, as strengths span decades."""
    kinds, limits = _kinds(info)
    kind: type[int] | type[float] = int if int in kinds else float
    lows = [bound.ge if isinstance(bound, Ge) else bound.gt for bound in limits if isinstance(bound, Ge | Gt)]
    highs = [bound.le if isinstance(bound, Le) else bound.lt for bound in limits if isinstance(bound, Le | Lt)]
    low, high = (_bound(bounds, kind) for bounds in (lows, highs))
    scale: Values = {"step": 1} if kind is int else {"step": _step(default, high), "format": _format(default)}
    empty: Values = {"placeholder": "not set"} if NoneType in kinds else {}
    usual = None if default is None else kind(default)

    def within(held: float | None) -> float | None:  # it may have been entered where other bounds held
        inside = held is None or ((low is None or held >= low) and (high is None or held <= high))
        return held if inside else usual

    value: float | None = st.number_input(
        label,
        value=entered(str(about["key"]), usual, within),
        min_value=low,
        max_value=high,
        **scale,
        **empty,
        **about,
    )
    return value


def _kinds(info: FieldInfo) -> tuple[list[Any], list[Any]]:
    """Return the types that a field may have, and its limits, those of an annotated type included."""
    whole = info.annotation
    parts = get_args(whole) if isinstance(whole, UnionType) or get_origin(whole) is Union else (whole,)
    limits = list(info.metadata)
    for part in parts:
        for extra in get_args(part)[1:] if get_origin(part) is Annotated else ():
            limits += getattr(extra, "metadata", None) or [extra]
    return [get_args(part)[0] if get_origin(part) is Annotated else part for part in parts], limits


def _bound(bounds: list[Any], kind: type[int] | type[float]) -> float | None:
    """Return the bound, if a browser can represent it: its integers are exact below 2⁵³."""
    return kind(bounds[0]) if bounds and float(bounds[0]) < 2**53 else None


def _step(default: float | None, high: float | None) -> float:
    """Return by how much the arrows move a fraction: a twentieth of its range, or a tenth of its default."""
    return high / 20 if high is not None and high < 1000 else (default or 1.0) / 10


def _format(default: float | None) -> str:
    """Return how a fraction is written: with an exponent where it is small, as it then spans decades."""
    return "%.2e" if default and default < 0.01 else "%.4g"


def _longest(info: FieldInfo) -> int:
    """Return how many characters a text may have."""
    return next((limit.max_length for limit in info.metadata if isinstance(limit, MaxLen)), LONGEST)


def _entries(text: str) -> list[str]:
    """Split "24, 48" into its entries; the spec turns them into numbers, or says which one is not a number."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _by_name(text: str) -> dict[str, str]:
    """Split "seg=1, depth=2" into names and numbers; the spec says which one is not a number."""
    pairs = [entry.partition("=") for entry in _entries(text)]
    return {name.strip(): value.strip() for name, _, value in pairs}
