import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.dashboard.frames.answers.answer import percent
from winnow.dashboard.shared.formatting import (
    amount,
    asked,
    asked_of,
    changed,
    duration,
    firmly,
    isolated,
    measured,
    plain,
    power,
    sentence,
    spread,
    state_word,
)
from winnow.engine.runs.work_folder import Status
from winnow.engine.specs.penalty import PenaltySpec
from winnow.engine.specs.prune import PruneSpec


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["C"]), max_size=40))
def test_plain_text_has_no_bare_punctuation_and_reads_as_written(text: str) -> None:
    escaped = plain(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[*_`<\[\]!$~|#]", escaped)
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped).replace("\u2060", "") == " ".join(text.split())


def test_an_icon_or_a_colour_in_a_name_stays_text() -> None:
    assert ":m" not in plain(":material/delete:")
    assert ":r" not in plain(":red[text]")


def test_a_message_keeps_its_names_as_code_and_nothing_else() -> None:
    assert sentence("`epochs` should be <b>") == r"`epochs` should be \<b\>"
    assert sentence("an open ` tick *") == plain("an open ` tick *")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (-1, "–"),
        (0, "0 s"),
        (59.4, "59 s"),
        (65, "1 min 05 s"),
        (3660, "1 h 01 min"),
        (180_000, "2 d 2 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


@given(st.floats(1e-9, 1e3))
def test_a_strength_is_said_to_three_figures(value: float) -> None:
    assert float(power(value)) == pytest.approx(value, rel=5e-3)


def test_a_strength_is_said_shortly() -> None:
    assert [power(value) for value in (0.0, 1e-3, 2.5e-4, 12.0)] == ["0", "1e-3", "2.5e-4", "1.2e1"]


def test_a_metric_carries_its_unit() -> None:
    assert [measured(99.97, "%"), measured(100.0, "%"), measured(99.94, "%")] == ["99.9 %", "100 %", "99.9 %"]
    assert [measured(61.44, "%"), measured(0.3211, "m"), measured(14.2, "°"), measured(0.9, "1")] == [
        "61.4 %",
        "0.321 m",
        "14.2°",
        "0.9",
    ]


def test_a_paused_run_says_so() -> None:
    assert state_word(Status(state="running", paused=True)) == "paused"
    assert state_word(Status(state="done", paused=True)) == "done"


@pytest.mark.parametrize(
    ("firmness", "verdict"), [(0.0, "firmly dead"), (0.43, "firmly dead"), (0.7, ": dead"), (0.95, "about to revive")]
)
def test_firmness_is_said_in_words(firmness: float, verdict: str) -> None:
    assert firmly(firmness).endswith(f"{verdict}.")
    assert f"{firmness:.2f} of the pull of the penalty" in firmly(firmness)


def test_what_was_asked_is_a_strength_or_a_target() -> None:
    assert asked(PenaltySpec(strength=2e-3)) == "λ = 2e-3 at the start"
    assert asked(PenaltySpec(target=62.5, target_of="mac")) == "target 62.5 % of the MACs"


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (674_553, "1", "675 k"),
        (188_436_480, "1", "188 M"),
        (12, "1", "12"),
        (2.9e6, "B", "2.9 MB"),
        (0.00481, "s", "4.81 ms"),
        (3e-7, "s", "0.3 µs"),
        (float("nan"), "s", "–"),
    ],
)
def test_an_amount_has_three_figures_and_a_prefix(value: float, unit: str, said: str) -> None:
    assert amount(value, unit) == said


def test_a_spread_is_said_in_one_unit() -> None:
    assert spread(0.0128, 0.00859, 1.2, "s") == "12.8 (8.59–1200) ms"


@pytest.mark.parametrize(
    ("by", "unit", "said"), [(-61.07, "%", "−61.1 %"), (0.012, "m", "+0.012 m"), (-1e-9, "°", "same")]
)
def test_a_change_has_a_sign(by: float, unit: str, said: str) -> None:
    assert changed(by, unit) == said


def test_a_pruning_is_said_by_what_was_asked() -> None:
    assert asked_of(PruneSpec()) == "exact zeros"
    asked = PruneSpec(criterion="norm", budget=50, tasks=("depth",), refit_epochs=1)
    assert asked_of(asked) == "low norms, budget 50 % of the MACs, only depth, refit of 1 epoch"


@pytest.mark.parametrize("name", ["עברית", "run العربية"])
def test_a_name_that_is_read_from_the_right_leaves_the_id_beside_it_in_order(name: str) -> None:
    assert isolated(name) == f"\u2068{name}\u2069"
    assert plain(name) == name


def test_a_message_that_names_something_read_from_the_right_begins_and_ends_as_it_is_written() -> None:
    assert sentence("עברית is missing.") == plain("עברית is missing.") == r"עברית is missing\."


def test_other_names_stand_as_they_are() -> None:
    assert isolated("größe 名前 1") == "größe 名前 1"


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (99.99999999999999, "100 %"),
        (100.00000000000001, "100 %"),
        (99.97, "99.9 %"),
        (1e-15, "0 %"),
        (-1e-15, "0 %"),
        (-0.0, "0 %"),
    ],
)
def test_only_a_whole_but_for_rounding_is_0_or_100_percent(share: float, said: str) -> None:
    assert (percent(share), measured(share, "%")) == (said, said)


def test_a_share_that_is_next_to_nothing_is_not_called_nothing() -> None:
    assert [percent(share) for share in (0.01, 1e-8, 99.99, -0.4)] == [
        "less than 0.1 %",
        "less than 0.1 %",
        "99.9 %",
        "−0.4 %",
    ]
    assert measured(0.01, "%") == "0.01 %"
