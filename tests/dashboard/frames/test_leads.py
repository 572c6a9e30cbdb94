from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.dashboard.frames import leads
from winnow.engine.runs.derived import DerivedJob

TASKS = ["seg", "depth", "normals"]


def _lead_state(shares: list[float], width: float, label: str = "shared") -> tuple[str, str]:
    """Return leading task and lead_state of one cell whose shares are known to ± `width`."""
    named = {f"share_{task}": [share] for task, share in zip(TASKS, shares, strict=True)}
    ends = {
        f"{end}_{name}": [value[0] + sign * width]
        for end, sign in (("low", -1), ("high", 1))
        for name, value in named.items()
    }
    used = pd.DataFrame({"layer": "stem", "channel": [0], **named, **ends, "label": label})
    cells = used.assign(dominant=TASKS[int(np.argmax(shares))])
    row = leads.lead_states(cells, used, TASKS).iloc[0]
    return row["dominant"], row["lead_state"]


def test_lead_states() -> None:
    assert _lead_state([0.6, 0.2, 0.2], 0.1) == ("seg", "lead")
    assert _lead_state([0.4, 0.4, 0.2], 0.1) == ("seg", "lean")
    assert _lead_state([0.2, 0.4, 0.4], 0.2) == ("depth", "even")
    assert _lead_state([0.6, 0.2, 0.2], 0.1, "idle")[1] == "idle"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_wider_interval_never_makes_a_lead_surer(parts: list[float], width: float, more: float) -> None:
    shares = [part / sum(parts) for part in parts]
    sure = {"lead": 2, "lean": 1, "even": 0}
    assert sure[_lead_state(shares, width + more)[1]] <= sure[_lead_state(shares, width)[1]]


def test_lead_counts(make_explained: Callable[..., DerivedJob]) -> None:
    work = make_explained()
    frame = leads.lead_counts(work)
    assert frame["layer"].tolist() == ["stem", "<b>deep</b>", "trunk"]
    assert frame["total"].tolist() == [3, 4, 6]
    assert frame["dead"].tolist() == [0, 0, 1]
    assert (frame["lead_seg"].tolist(), frame["lead_normals"].tolist()) == ([1, 1, 1], [1, 1, 1])


def test_lead_summary(make_explained: Callable[..., DerivedJob]) -> None:
    work = make_explained()
    frame = leads.lead_summary(leads.leads(work), TASKS)
    whole = frame.iloc[:2][TASKS].to_numpy().sum() + int(frame.iloc[1]["all alike"].split()[0])
    assert whole == 12  # every channel that is alive and used has one lead_state
    assert frame.iloc[2]["all alike"] == "6 shared"


@pytest.mark.parametrize("tasks", [("depth",), ("seg", "depth")])
def test_any_number_of_tasks_has_leads(make_explained: Callable[..., DerivedJob], tasks: tuple[str, ...]) -> None:
    frame = leads.leads(make_explained(tasks=tasks))
    used = frame[~frame["label"].isin(["dead", "idle"])]
    assert set(used["lead_state"]) <= set(leads.LEAD_STATES)
    assert len(tasks) > 1 or set(used["lead_state"]) == {"lead"}
