"""`bench(models, example)`: how fast each network is in each form, and where the time of the small one goes.

| table    | columns                                                                                             |
|----------|-----------------------------------------------------------------------------------------------------|
| `speeds` | model; form, layout (`engine.measure.forms`); batch, threads; median, low, high [s per pass, p10 and |
|          | p90 over the rounds]; steady; macs of one image; bytes of the file; peak_bytes (torch alone);        |
|          | relative_error beside the model; speed_up over the first model in the same form and layout, with     |
|          | speed_up_low and speed_up_high (p10 and p90 of the ratios within a round); achieved, speed_up ÷ the  |
|          | ratio of MACs                                                                                        |
| `layers` | `engine.measure.roofline.layer_table`, in torch at the first batch and number of threads             |
| `lost`   | cause, seconds, share [%] of the time that the small network takes beyond what its MACs promise      |
| `machine`| threads, flops [FLOP/s], bandwidth [bytes/s], call [s], block (`engine.measure.peaks`)             |
| `left_out` | model, form, reason: what could not be measured                                                   |

All models and forms of one number of images and threads take turns, so that a busy machine slows them all alike: the
ratios hold more than the times do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from winnow.engine.export import NotDescribable, NotSame
from winnow.engine.graph.examples import batched
from winnow.engine.graph.trace import named_inputs
from winnow.engine.measure.counts import macs
from winnow.engine.measure.forms import FORMS, Form, FormSource, formed, usable_forms
from winnow.engine.measure.gains import COMPACT, DENSE, MASKED, lost_by_cause
from winnow.engine.measure.memory import peak_memory
from winnow.engine.measure.peaks import measured_peaks
from winnow.engine.measure.roofline import layer_costs, layer_table
from winnow.engine.measure.timing import Timing, check_batches, each_round, summed_up

ZEROS_SHOWN = ("eager", "onnxruntime")  # forms of the masked network: zeros alone save nothing in any
Progress = Callable[[str, float], None]
Judge = Callable[[str, str, nn.Module], None]
Key = tuple[str, str, str]  # model, form, layout


@dataclass(frozen=True)
class BenchSettings:
    """What is timed: in which forms, for how many images and threads, in how many rounds.

    Raises:
        ValueError: an unknown form, or a number out of range.

    """

    forms: tuple[str, ...] = ("eager", "folded", "onnxruntime")
    batches: tuple[int, ...] = (1, 16)
    threads: tuple[int, ...] = (1,)
    rounds: int = 20
    seconds: float = 0.02

    def __post_init__(self) -> None:
        check_batches(self.batches)
        if unknown := [form for form in self.forms if form not in FORMS]:
            raise ValueError(f"`forms` must be among {', '.join(FORMS)}, got {unknown}. Choose among them.")
        if not (self.forms and self.batches and self.threads):
            raise ValueError("`forms`, `batches` and `threads` must each hold one value at least, got none.")
        for count in self.threads:
            Timing(self.rounds, self.seconds, count)


def bench(
    models: Mapping[str, nn.Module],
    example_inputs: Any,
    settings: BenchSettings = BenchSettings(),
    *,
    calibration: Sequence[Mapping[str, Any]] = (),
    judge: Judge | None = None,
    progress: Progress | None = None,
) -> dict[str, pd.DataFrame]:
    """Return the tables of this module.

    Args:
        models: `dense` first, then any others, such as `masked` and `compact`; all take the example.
        example_inputs: what `engine.graph.calls.calls` takes; images are repeated to make a batch.
        settings: what is timed.
        calibration: for int8, inputs by name that its ranges are measured on.
        judge: called with the name of a model, the form (int8, and float32 beside it) and a module that runs in it,
            where int8 is asked for: what it gives differs from the model's outputs.
        progress: called with what is measured and the part that is done, in [0, 1].

    Raises:
        ValueError: no model is called dense, one is not on the CPU, or an argument is out of range.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
        >>> found = bench({"dense": net}, torch.zeros(1, 4), BenchSettings(forms=("eager",), batches=(1,), rounds=3))
        >>> found["speeds"][["model", "form"]].iloc[0].tolist()
        ['dense', 'eager']

    """
    if DENSE not in models:
        raise ValueError(
            f"`models` must hold the network `{DENSE}`, which the others are compared with, got {[*models]}."
        )
    elsewhere = {str(p.device) for model in models.values() for p in model.parameters() if p.device.type != "cpu"}
    if elsewhere:
        raise ValueError(f"`models` must be on the CPU, got {', '.join(sorted(elsewhere))}. Move them: model.cpu().")
    tell = progress or (lambda what, part: None)
    forms, left_out = _formed(models, example_inputs, settings, calibration, tell)
    cells = [(size, threads) for threads in settings.threads for size in settings.batches]
    rows = []
    for place, (size, threads) in enumerate(cells):
        tell(
            f"timing {size} image{'s' * (size > 1)}, {threads} thread{'s' * (threads > 1)}",
            0.3 + 0.6 * place / len(cells),
        )
        inputs = {name: batched(model, example_inputs, size) for name, model in models.items()}
        rows += _cell(forms, inputs, (size, threads), settings, left_out)
    tables = {"speeds": _compared(pd.DataFrame(rows), _macs(models, example_inputs))}
    tell("timing layer by layer", 0.9)
    if COMPACT in models:
        tables |= _layers(models, example_inputs, settings)
    if judge is not None:
        tell("judging int8", 0.95)
        _judged(forms, models, judge)
    tables["machine"] = pd.DataFrame([asdict(measured_peaks(threads)) for threads in settings.threads])
    tables["left_out"] = pd.DataFrame(left_out, columns=["model", "form", "reason"])
    return tables


def _formed(
    models: Mapping[str, nn.Module],
    example_inputs: Any,
    settings: BenchSettings,
    calibration: Sequence[Mapping[str, Any]],
    tell: Progress,
) -> tuple[dict[tuple[str, str], Form], list[list[str]]]:
    """Return every network in every form that it can be put in, and why the others are left out."""
    found: dict[tuple[str, str], Form] = {}
    left_out: list[list[str]] = []
    wanted = [(m, f) for m in models for f in settings.forms if m != MASKED or f in ZEROS_SHOWN]
    sources = {name: FormSource(model, example_inputs, calibration) for name, model in models.items()}
    unusable = usable_forms()
    for place, (model, form) in enumerate(wanted):
        tell(f"{model}: {form}", 0.3 * place / len(wanted))
        if reason := unusable[form]:
            left_out.append([model, form, reason])
            continue
        try:
            found[model, form] = formed(form, sources[model])
        except (NotDescribable, NotSame) as error:
            left_out.append([model, form, str(error)])
    return found, left_out


def _judged(forms: Mapping[tuple[str, str], Form], models: Mapping[str, nn.Module], judge: Judge) -> None:
    for (model, name), form in forms.items():
        if name == "int8" and form.module is not None:
            judge(model, "float32", models[model])
            judge(model, "int8", form.module)


def _cell(
    forms: Mapping[tuple[str, str], Form],
    inputs: Mapping[str, dict[str, Any]],
    at: tuple[int, int],
    settings: BenchSettings,
    left_out: list[list[str]],
) -> list[dict[str, Any]]:
    """Return the rows of one number of images and threads."""
    size, threads = at
    runners = {}
    for (model, name), form in forms.items():
        try:
            for layout in form.layouts:
                runners[model, name, layout] = form.runner(inputs[model], threads, layout)
        except (NotSame, RuntimeError) as error:
            line = str(error).partition("\n")[0]
            left_out.append([model, name, f"batch {size}, {threads} threads: {line}"])
    taken = each_round(runners, Timing(settings.rounds, settings.seconds, threads))
    peaks: dict[tuple[str, str], float] = {}
    for (model, name), form in forms.items():
        counted = form.module is not None and name in ("eager", "folded")
        peaks[model, name] = float(peak_memory(form.module, inputs[model])) if counted and form.module else np.nan
    rows = []
    for key, values in taken.items():
        form, base = forms[key[:2]], taken.get((DENSE, *key[1:]))
        rows.append(
            {"model": key[0], "form": key[1], "layout": key[2], "batch": size, "threads": threads}
            | _times(values, base)
            | {"bytes": form.bytes, "peak_bytes": peaks[key[:2]], "relative_error": form.relative_error}
        )
    return rows


def _times(values: NDArray[np.float64], base: NDArray[np.float64] | None) -> dict[str, Any]:
    found = summed_up(values)
    ratios = np.full(3, np.nan) if base is None else np.percentile(base / values, [50, 10, 90])
    return {
        "median": found.median,
        "low": found.p10,
        "high": found.p90,
        "steady": found.steady,
        "speed_up": float(ratios[0]),
        "speed_up_low": float(ratios[1]),
        "speed_up_high": float(ratios[2]),
    }


def _macs(models: Mapping[str, nn.Module], example_inputs: Any) -> dict[str, float]:
    return {name: macs(model, named_inputs(model, example_inputs)) for name, model in models.items()}


def _compared(frame: pd.DataFrame, counts: Mapping[str, float]) -> pd.DataFrame:
    frame = frame.assign(macs=frame["model"].map(counts))
    return frame.assign(achieved=frame["speed_up"] * frame["macs"] / counts[DENSE])


def _layers(models: Mapping[str, nn.Module], example_inputs: Any, settings: BenchSettings) -> dict[str, pd.DataFrame]:
    threads = settings.threads[0]
    pair = {name: models[name] for name in (DENSE, COMPACT)}
    inputs = {name: batched(model, example_inputs, settings.batches[0]) for name, model in pair.items()}
    costs = layer_costs(pair, inputs, threads, settings.rounds)
    frame = layer_table(costs[DENSE], costs[COMPACT], measured_peaks(threads))
    return {"layers": frame, "lost": lost_by_cause(frame)}
