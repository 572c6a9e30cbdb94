import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.words import amount, asked, duration, firmly, measured, plain, power, sentence, state_word
from engine.folders import Status
from engine.spec import PenaltySpec


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
    assert f"{firmness:.2f} of what the penalty withstands" in firmly(firmness)


def test_what_was_asked_is_a_strength_or_a_target() -> None:
    assert asked(PenaltySpec(strength=2e-3)) == "λ = 2e-3 at the start"
    assert asked(PenaltySpec(target=62.5, target_of="mac")) == "target 62.5 % of the MACs"


def test_large_numbers_have_three_figures() -> None:
    assert [amount(value) for value in (48, 1234, 512_345, 1.2e6, 7.04e9)] == [
        "48",
        "1.23 k",
        "0.512 M",
        "1.2 M",
        "7.04 G",
    ]
