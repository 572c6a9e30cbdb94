"""How small are the circuits of trained networks? Rooms, three seeds, dense and with 70 % of the groups zero.

For every run and task: edges kept at 90 and 95 % of the loss change, of all whose weight is not zero; what they keep on
images that neither learned nor sized them; random edges in their place; the overlap of the tasks. The table is printed,
and written to the file that WINNOW_STUDY names, one run after the other.
"""

import pandas as pd
import pytest

from tests.studies.test_faithfulness import Case, over_networks, trained
from winnow.data.stacking import Stacked
from winnow.engine.explain.circuits.circuits import circuit_layers, probe_circuits, with_layers
from winnow.engine.explain.circuits.selecting import Learning
from winnow.engine.explain.relevance.means import channel_means
from winnow.engine.explain.relevance.probe import probe
from winnow.engine.explain.relevance.settings import Settings
from winnow.engine.graph.trace import trace

pytestmark = [pytest.mark.study, pytest.mark.timeout(14400)]


def circuits_of(case: Case, stacked: dict[str, Stacked]) -> pd.DataFrame:
    training, validation = trained(case, stacked)
    probed = probe(training.net, validation, settings=Settings(images=100, seed=case.seed))
    probed = with_layers(probed, circuit_layers(probed, trace(training.net, validation.example())))
    found = probe_circuits(probed, channel_means(probed), Learning())
    whole = found.overlaps[found.overlaps["layer"] == ""]
    most = whole.groupby("task")["jaccard"].max()
    return found.figures.assign(target=case.target, seed=case.seed, shares_most=found.figures["task"].map(most))


@pytest.fixture(scope="module")
def study() -> pd.DataFrame:
    return over_networks(circuits_of)


def test_circuits_keep_what_the_tasks_have_learned(study: pd.DataFrame, capsys: pytest.CaptureFixture[str]):
    with capsys.disabled():
        print("\n" + study.round(3).to_string())
    assert (study["faithfulness"] >= study["level"] - 0.1).mean() >= 0.9
    assert (study["share"] < 0.6).all()


def test_random_edges_keep_less_than_half_as_much(study: pd.DataFrame):
    assert (study["random"] < study["faithfulness"] / 2).all()
