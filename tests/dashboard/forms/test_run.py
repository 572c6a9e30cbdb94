from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from streamlit.testing.v1 import AppTest

from tests.data.folder.making import make
from winnow.data.catalog import DATASETS
from winnow.data.registered import register
from winnow.engine.runs.run import list_runs
from winnow.engine.specs.network import NETWORKS
from winnow.engine.specs.penalty import PENALTIES
from winnow.engine.specs.train import TrainSpec, parse


def _form() -> AppTest:
    def script() -> None:
        import streamlit as st

        from winnow.dashboard.forms.run import new_run
        from winnow.dashboard.shared.entries import keep_entries

        keep_entries()
        if run := new_run():
            st.text(run.id)

    return AppTest.from_function(script, default_timeout=60).run()


def test_the_form_as_it_opens_describes_the_default_run_with_half_of_the_groups_zero(
    runs_root: Path, end_workers: None
) -> None:
    page = _form()
    page.button(key="new_submit").click().run()
    assert not page.exception
    (run,) = list_runs(runs_root)
    assert run.spec == parse({"penalty": {"target": 50}})
    assert page.text[0].value == run.id
    assert run.recorded_status().requested is not None


def test_what_is_entered_is_what_is_run(runs_root: Path, end_workers: None) -> None:
    page = _form()
    page.text_input(key="new_name").set_value("narrow")
    page.number_input(key="new_strength").set_value(3e-5)
    page.number_input(key="new_scenes_train_length").set_value(32)
    page.text_input(key="new_widths").set_value("8, 16")
    assert page.text_input(key="new_blocks").label == "Blocks"
    page.text_input(key="new_blocks").set_value("1, 1")
    page.multiselect(key="new_tasks_scenes").set_value(["depth"])
    page.button(key="new_submit").click().run()
    (run,) = list_runs(runs_root)
    assert (run.spec.name, run.spec.penalty.strength, run.spec.tasks) == ("narrow", 3e-5, ("depth",))
    assert (run.spec.network.widths, run.spec.network.blocks) == ((8, 16), (1, 1))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [("new_widths", "24, wide", "widths"), ("new_blocks", "2", "blocks"), ("new_name", "", "name")],
)
def test_a_description_that_makes_no_sense_starts_nothing(runs_root: Path, key: str, value: str, named: str) -> None:
    page = _form()
    page.text_input(key=key).set_value(value)
    page.button(key="new_submit").click().run()
    assert len(page.error) == 1
    assert named in page.error[0].value
    assert "\n" not in page.error[0].value
    assert not list(runs_root.iterdir())


def test_a_batch_larger_than_the_data_is_refused(runs_root: Path) -> None:
    page = _form()
    page.number_input(key="new_scenes_train_length").set_value(8)
    page.button(key="new_submit").click().run()
    assert "batch_size" in page.error[0].value
    assert not list(runs_root.iterdir())


def test_a_folder_without_the_data_is_said_and_starts_nothing(runs_root: Path, tmp_path: Path) -> None:
    page = _form()
    page.selectbox(key="new_dataset").select("fashion").run()
    page.text_input(key="new_fashion_root").set_value(str(tmp_path / "nowhere"))
    page.button(key="new_submit").click().run()
    assert not page.exception
    assert "`root`" in page.error[0].value
    assert not list(runs_root.iterdir())


def test_another_data_set_offers_its_own_tasks_and_options(runs_root: Path) -> None:
    page = _form()
    page.selectbox(key="new_dataset").select("digits").run()
    assert not page.exception
    assert "new_scenes_size" not in page.session_state
    assert page.multiselect(key="new_tasks_digits").value


def test_a_data_set_brings_its_own_defaults_into_the_form(runs_root: Path, end_workers: None) -> None:
    page = _form()
    page.selectbox(key="new_dataset").select("fashion").run()
    assert page.number_input(key="new_fashion_epochs").value == 10
    page.number_input(key="new_fashion_batch_size").set_value(32)
    page.button(key="new_submit").click().run()
    assert not page.exception
    (run,) = list_runs(runs_root)
    assert (run.spec.epochs, run.spec.batch_size, run.spec.network.widths) == (10, 32, (16, 32, 64, 96))


def test_what_was_entered_for_one_data_set_is_not_taken_for_another(runs_root: Path) -> None:
    page = _form()
    page.number_input(key="new_scenes_train_length").set_value(32)
    page.selectbox(key="new_dataset").select("fashion").run()
    assert page.number_input(key="new_fashion_train_length").value == 4000
    page.text_input(key="new_fashion_root").set_value("/photos")
    page.selectbox(key="new_dataset").select("folder").run()
    assert page.text_input(key="new_folder_root").value == ""
    page.selectbox(key="new_dataset").select("scenes").run()
    assert page.number_input(key="new_scenes_train_length").value == 32


def test_a_registered_data_set_is_offered_with_its_folder(
    runs_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINNOW_DATASETS", str(tmp_path / "settings" / "datasets.json"))
    folder = make(tmp_path / "my photos")
    register("mine", str(folder))
    page = _form()
    page.selectbox(key="new_dataset").select("mine").run()
    assert not page.exception
    assert page.text_input(key="new_mine_root").value == str(folder)
    assert page.multiselect(key="new_tasks_mine").value == ["objects", "depth", "normals"]


def test_a_strength_can_be_asked_for_instead_of_a_target(runs_root: Path, end_workers: None) -> None:
    page = _form()
    page.segmented_control(key="new_way").set_value("strength").run()
    assert not {"new_target", "new_target_of"} & {widget.key for widget in (*page.number_input, *page.selectbox)}
    page.number_input(key="new_strength").set_value(2e-4)
    page.button(key="new_submit").click().run()
    (run,) = list_runs(runs_root)
    assert (run.spec.penalty.target, run.spec.penalty.strength) == (None, 2e-4)


def test_a_strength_can_be_learned(runs_root: Path, end_workers: None) -> None:
    page = _form()
    page.segmented_control(key="new_way").set_value("learned").run()
    assert not {"new_target", "new_strength", "new_strength_of", "new_ramp"} & _drawn(page)
    page.number_input(key="new_learn_tolerance").set_value(2.0)
    page.button(key="new_submit").click().run()
    (run,) = list_runs(runs_root)
    assert run.spec.penalty == parse({"penalty": {"strength": "auto", "learn_tolerance": 2}}).penalty


def test_a_share_of_the_macs_and_every_other_field_of_the_penalty_can_be_asked_for(
    runs_root: Path, end_workers: None
) -> None:
    page = _form()
    page.number_input(key="new_target").set_value(70.0)
    page.selectbox(key="new_target_of").set_value("mac")
    page.selectbox(key="new_groups").set_value("coupled")
    page.selectbox(key="new_penalty").set_value("sparse_group_lasso")
    page.number_input(key="new_refit").set_value(0.4)
    page.number_input(key="new_floor").set_value(0.1)
    page.button(key="new_submit").click().run()
    (run,) = list_runs(runs_root)
    penalty = run.spec.penalty
    assert (penalty.target, penalty.target_of, penalty.groups) == (70, "mac", "coupled")
    assert (penalty.penalty, penalty.refit, penalty.floor) == ("sparse_group_lasso", 0.4, 0.1)


def test_a_share_of_the_latency_asks_for_the_images_of_a_pass(runs_root: Path, end_workers: None) -> None:
    page = _form()
    assert "new_latency_batch" not in _drawn(page)
    page.selectbox(key="new_target_of").set_value("latency").run()
    page.number_input(key="new_latency_batch").set_value(8)
    page.button(key="new_submit").click().run()
    (run,) = list_runs(runs_root)
    assert (run.spec.penalty.target_of, run.spec.penalty.latency_batch) == ("latency", 8)


def test_an_optional_field_is_empty_and_may_be_emptied(runs_root: Path, end_workers: None) -> None:
    page = _form()
    assert page.number_input(key="new_refit").value is None
    page.number_input(key="new_refit").set_value(0.4).run()
    page.number_input(key="new_refit").set_value(None)
    page.button(key="new_submit").click().run()
    (run,) = list_runs(runs_root)
    assert run.spec.penalty.refit is None


def test_weights_of_tasks_are_written_by_name(runs_root: Path, end_workers: None) -> None:
    page = _form()
    page.multiselect(key="new_tasks_scenes").set_value(["seg", "depth"])
    page.selectbox(key="new_balancing").set_value("static")
    page.text_input(key="new_task_weights").set_value("seg=1, depth = 2.5")
    page.button(key="new_submit").click().run()
    (run,) = list_runs(runs_root)
    assert run.spec.balancing.task_weights == {"seg": 1.0, "depth": 2.5}


@pytest.mark.parametrize("text", ["seg", "seg=x", "nowhere=1"])
def test_weights_that_make_no_sense_start_nothing(runs_root: Path, text: str) -> None:
    page = _form()
    page.selectbox(key="new_balancing").set_value("static")
    page.text_input(key="new_task_weights").set_value(text)
    page.button(key="new_submit").click().run()
    assert len(page.error) == 1
    assert not list(runs_root.iterdir())


def _drawn(page: AppTest) -> set[str | None]:
    kinds = (page.number_input, page.selectbox, page.text_input, page.toggle, page.segmented_control, page.multiselect)
    return {widget.key for kind in kinds for widget in kind}


def _pages() -> Iterator[AppTest]:
    """Yield the form as it opens, with a strength or a learned one instead of a target, and with every other kind."""
    page = _form()
    yield page
    yield page.selectbox(key="new_target_of").set_value("latency").run()
    yield page.segmented_control(key="new_way").set_value("strength").run()
    yield page.segmented_control(key="new_way").set_value("learned").run()
    for key, registry in (("new_dataset", DATASETS), ("new_network", NETWORKS), ("new_penalty", PENALTIES)):
        for kind in list(registry)[1:]:
            yield page.selectbox(key=key).set_value(kind).run()


def _fields(model: type[BaseModel]) -> Iterator[str]:
    """Yield the names of all fields of a spec, those of its parts instead of the parts, of every kind of part."""
    kinds: dict[str, Iterable[type[BaseModel]]] = {"data": DATASETS.values(), "network": NETWORKS.values()}
    for name, info in model.model_fields.items():
        part = info.annotation
        if name in kinds and model is TrainSpec:
            for spec in kinds[name]:
                yield from _fields(spec)
        elif isinstance(part, type) and issubclass(part, BaseModel):
            yield from _fields(part)
        else:
            yield name


WITHOUT = {
    "kind": "a constant",
    "format_version": "a constant",
    "start": "weights of other runs: studies and the Path page set it",
    "fresh_state": "a fault of published code: `--faithful` sets it",
    "strength_changes": "what was done to a live run: a replay sets it",
    "target_changes": "likewise",
    "own_tasks": "code of your own: --task sets it",
    "rate": "factors by the names of parameters: --rate sets it",
    "description": "what dataset.toml says: read from the folder",
}


def test_every_field_of_the_spec_has_a_widget(runs_root: Path) -> None:
    drawn = set().union(*(_drawn(page) for page in _pages()))
    drawn |= {"new_tasks"} if any(str(key).startswith("new_tasks_") for key in drawn) else set()
    drawn |= {"new_network"} if len(NETWORKS) == 1 else set()  # there is nothing to choose
    forms = ("new", *(f"new_{dataset}" for dataset in DATASETS))
    missing = {name for name in _fields(TrainSpec) if not drawn & {f"{form}_{name}" for form in forms}}
    assert missing == set(WITHOUT)


def test_a_folder_offers_its_own_tasks_and_a_wrong_one_starts_nothing(runs_root: Path, tmp_path: Path) -> None:
    page = _form()
    page.selectbox(key="new_dataset").set_value("folder").run()
    page.text_input(key="new_folder_root").set_value(str(tmp_path)).run()
    page.button(key="new_submit").click().run()
    assert not page.exception
    assert "got none in it" in page.error[0].value
    assert not list_runs(runs_root)
    page.text_input(key="new_folder_root").set_value(str(make(tmp_path / "photos"))).run()
    assert page.multiselect(key="new_tasks_folder").options[:3] == ["objects", "depth", "normals"]


def test_a_parameter_is_offered_with_its_own_penalty_only(runs_root: Path, end_workers: None) -> None:
    page = _form()
    assert not {"new_mix", "new_concavity"} & _drawn(page)
    page.selectbox(key="new_penalty").set_value("sparse_group_lasso").run()
    assert "new_concavity" not in _drawn(page)
    page.number_input(key="new_mix").set_value(0.2)
    page.button(key="new_submit").click().run()
    (run,) = list_runs(runs_root)
    assert (run.spec.penalty.penalty, run.spec.penalty.mix) == ("sparse_group_lasso", 0.2)


def test_the_kept_network_may_be_the_best_one_and_be_tested(runs_root: Path, end_workers: None) -> None:
    page = _form()
    page.number_input(key="new_patience").set_value(3)
    page.selectbox(key="new_keep").set_value("best")
    page.toggle(key="new_test").set_value(True)
    page.button(key="new_submit").click().run()
    (run,) = list_runs(runs_root)
    assert (run.spec.patience, run.spec.keep, run.spec.test) == (3, "best", True)


def test_the_strength_is_written_with_an_exponent_and_starts_at_zero(runs_root: Path) -> None:
    strength = _form().number_input(key="new_strength")
    assert strength.proto.format == "%.2e"
    assert strength.min == 0


def test_data_sets_are_joined_in_turns(runs_root: Path, end_workers: None) -> None:
    page = _form()
    page.selectbox(key="new_dataset").set_value("several, joined").run()
    page.text_input(key="new_sources").set_value("scenes[depth]+scenes[seg]").run()
    page.checkbox(key="new_alternating").check().run()
    assert page.multiselect(key="new_tasks_several, joined_depth_seg").value == ["depth", "seg"]
    page.button(key="new_submit").click().run()
    assert not page.exception
    (run,) = list_runs(runs_root)
    assert (run.spec.data.dataset, run.spec.data.alternating, run.spec.tasks) == ("joined", True, ("depth", "seg"))
    assert run.spec.data.labels == (("depth",), ("seg",))


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "joined by"), ("scenes[", "joined by"), ("scenes[+digits", "must be written as"), ("scenes+no", "among")],
)
def test_data_sets_that_cannot_be_joined_start_nothing(runs_root: Path, text: str, said: str) -> None:
    page = _form()
    page.selectbox(key="new_dataset").set_value("several, joined").run()
    page.text_input(key="new_sources").set_value(text).run()
    assert not page.exception
    page.button(key="new_submit").click().run()
    assert not page.exception
    assert said in " ".join([*(own.value for own in page.error), *(own.value for own in page.caption)])
    assert not list_runs(runs_root)
