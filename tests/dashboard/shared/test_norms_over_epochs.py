"""The layer whose channels are drawn over the epochs."""

import pytest
import streamlit as st

from winnow.dashboard.shared import norms_over_epochs


def test_only_another_layer_is_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was drawn, sent again by a browser, would drop the selected channel."""
    chosen: list[str] = []
    monkeypatch.setattr(norms_over_epochs, "select_layer", chosen.append)
    monkeypatch.setattr(st, "session_state", {"norms_layer": "stem"})
    norms_over_epochs._choose("stem")
    assert chosen == []
    norms_over_epochs._choose("deep")
    assert chosen == ["stem"]
