"""How good a network is over all its tasks, as one number: the mean skill over the constant predictions.

    skill_t = (M_t − M_constant) / (M_perfect − M_constant)

with the main metric of each task (the first of engine.runs.quantities): 0 for the prediction that ignores the image, 1
for a perfect one. Weather forecasts are scored this way (Murphy 1988). Unlike the summed loss it does not depend on the
units of the tasks, and unlike Δ_m it needs no other run. So it chooses the best epoch and the elbow of a path.
"""

import math
from collections.abc import Mapping

from winnow.data.sample import Field
from winnow.engine.runs.quantities import Metric, metrics

Figures = Mapping[str, Mapping[str, float]]  # {task: {metric: value}}


def skill(reached: Figures, constant: Figures, fields: Mapping[str, Field]) -> float:
    """Return the mean skill [1] over the tasks that can be judged; −∞ where a metric is NaN, or no task can be.

    A task cannot be judged where its constant prediction has no metric: nothing of it is labelled.
    """
    known = judged(constant, fields)
    parts = [_skill(reached[task], constant[task], metrics(fields[task])[0]) for task in reached if task in known]
    mean = sum(parts) / len(parts) if parts else math.nan
    return mean if mean == mean else -math.inf


def judged(constant: Figures, fields: Mapping[str, Field]) -> list[str]:
    """Return the tasks whose constant prediction has a main metric."""
    return [task for task, values in constant.items() if not math.isnan(values[metrics(fields[task])[0].name])]


def _skill(reached: Mapping[str, float], constant: Mapping[str, float], metric: Metric) -> float:
    span = perfect(metric) - constant[metric.name]
    return (reached[metric.name] - constant[metric.name]) / span if span else 0.0


def perfect(metric: Metric) -> float:
    """Return the best value of a metric: 0 for errors, else 100 % or 1."""
    if metric.better == "lower":
        return 0.0
    return 100.0 if metric.unit == "%" else 1.0
