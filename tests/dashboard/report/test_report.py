"""The report: every section, whole without a network, text of a run as text, bounded, its numbers beside it."""

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page
from plotly.offline import get_plotlyjs

from tests.dashboard.making import START, write_checkpoint, write_run, write_tables
from tests.dashboard.making_explanations import write_explanation
from tests.dashboard.making_judged import write_judged, write_pictures
from tests.dashboard.making_maps import write_maps
from tests.dashboard.making_studies import write_tailoring
from tests.dashboard.pruning_making import write_pruning
from winnow.dashboard.frames.chosen import Pin, ReportChoice, add_pin, choose_for_report, remove_pin, report_choice
from winnow.dashboard.frames.summaries import summary
from winnow.dashboard.report import citations, of_explanation, of_images, of_run
from winnow.dashboard.report.page import TOO_LARGE, html_page
from winnow.dashboard.report.parts import Cards, Chapter, Figure, ReportSection, ReportTable
from winnow.dashboard.report.report import ReportFiles, report
from winnow.dashboard.shared import run_figures
from winnow.engine.cli.main import main
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run
from winnow.engine.runs.study import Study
from winnow.engine.specs.balancing import Method as Balancing
from winnow.engine.specs.explain import METHODS
from winnow.engine.specs.penalty import PENALTIES

HOSTILE = "<img src=https://evil.example/x onerror=alert(1)></script><b>"
QUESTIONS = (
    "What was asked, and what came out?",
    "How sparse, and where?",
    "At what price?",
    "Who leads which channels?",
    "What does each task rely on?",
    "What does one channel answer to?",
    "Which pixels does each task rely on?",
    "Is it true?",
    "Who pays?",
    "What we do not claim",
)
FIGURES, MAPS = 19, 1
FAINT = """() => {  // words of figures with less than 4.5:1 against the page, which axe does not see
  const parts = (colour) => (colour.match(/[\\d.]+/g) ?? [0, 0, 0]).map(Number)
  const light = (colour) => colour.slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0)
  const paper = parts(getComputedStyle(document.body).backgroundColor)
  const words = [...document.querySelectorAll(".plot text:not(.bartext-inside), .replay svg text")]
  return words.filter((word) => word.textContent.trim() && !word.closest(".modebar, .hoverlayer")).filter((word) => {
    const { fill, fillOpacity, opacity } = getComputedStyle(word)
    const seen = (parts(fill)[3] ?? 1) * Number(fillOpacity) * Number(opacity)
    const ends = [light(paper.map((part, at) => part + seen * (parts(fill)[at] - part))), light(paper)]
    return (Math.max(...ends) + 0.05) / (Math.min(...ends) + 0.05) < 4.5
  }).map((word) => word.textContent)
}"""
LOADING = {"src", "href", "srcset", "data", "poster", "action", "background"}
MakeRun = Callable[..., Run]
Make = Callable[..., DerivedJob]


class Seen(HTMLParser):
    """The elements and the text of a page, what scripts and styles hold left out."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = ""
        self.feed(content.decode().replace(get_plotlyjs(), "plotly.js"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a hostile name that is explained and pruned, to be read only."""
    run = write_checkpoint(write_run(tmp_path_factory.mktemp("told"), tasks=["seg", "depth", "normals"]))
    write_maps(write_explanation(run))
    document = json.loads((run.path / "spec.json").read_text())
    (run.path / "spec.json").write_text(json.dumps({**document, "name": HOSTILE}))
    run = Run(run.path)
    write_pruning(write_tables(run))
    return run


@pytest.fixture(scope="module")
def made(told: Run) -> ReportFiles:
    """Its report."""
    return report([told])


def test_every_section_is_headed_by_its_claim_with_n_and_split(made: ReportFiles) -> None:
    seen = Seen(made.html)
    assert [question for question in QUESTIONS if question not in seen.text] == []
    for claim in (
        "30 % of the groups are zero",
        "50 % of the MACs and 75 % of the parameters were removed",
        "One task surely has more than an equal share",
        "hold half of what seg relies on",
        "The explanation holds: ",
        "most active in images 5, 4 and 3, silent at 25 % of all positions",
        "Half of the attribution lies on 50 % of the pixels for seg",
        "maps over pixels are not compared with ablation",
        "One seed: another seed gives other numbers",
    ):
        assert claim in seen.text
    for fact in ("validation images", "n = 8 validation images", "relevance of the loss by taylor", "exact", "λ ="):
        assert fact in seen.text
    assert "To make it" not in seen.text
    assert "Click" not in seen.text
    figures = [attributes for tag, attributes in seen.tags if attributes.get("class") == "plot"]
    assert len(figures) == FIGURES
    assert all(attributes["aria-label"] for attributes in figures)


def test_what_is_missing_is_said_with_the_command_that_makes_it(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    text = Seen(report([run]).html).text
    assert f"To make it: winnow explain {run.id}" in text
    assert f"To make it: winnow prune {run.id}" in text
    assert "No claim about which channels a task relies on" in text


def test_an_explanation_that_was_not_checked_is_not_called_true(make_explained: Make) -> None:
    run = make_explained(ablated=False).run
    text = Seen(report([run]).html).text
    assert "This is not checked" in text
    assert "The explanation holds" not in text
    assert f"winnow explain {run.id} --ablations" in text


def test_an_explanation_of_an_earlier_checkpoint_says_so(make_explained: Make) -> None:
    run = make_explained().run
    assert "trained further" not in Seen(report([run]).html).text
    status = run.recorded_status()
    later = status.model_copy(update={"started": START + 100, "finished": START + 200})
    (run.path / "status.json").write_text(later.model_dump_json())
    assert "The run was trained further after explain" in Seen(report([run]).html).text


def test_a_run_that_has_no_norms_or_has_failed_says_so(make_run: MakeRun) -> None:
    run = make_run(epochs=1, state="failed", message="`loss` was NaN <b>")
    text = Seen(report([run]).html).text
    assert "It ended as failed: `loss` was NaN <b>" in text
    assert "The run failed after 1 of 5 epochs: its numbers are not final." in text


def test_an_imported_network_claims_no_training_no_seed_and_no_images(make_run: MakeRun) -> None:
    network = {"network": "recorded", "name": "Net", "origin": "mine:build 0123; net.pth 4567"}
    data = {"dataset": "recorded", "described": {"a": {"kind": "unspecified"}}}
    run = make_run(epochs=0, network=network, data=data, tasks=["a"])
    (run.path / "events.jsonl").write_text("")
    assert summary(run).imported
    text = Seen(report([run]).html).text
    assert "not judged on any image" in text
    assert "No metric is known" in text
    assert "winnow import CHECKPOINT" in text
    for untrue in ("One seed", "validation images", "penalises", "at the start", "It took", "winnow explain"):
        assert untrue not in text


def test_nothing_is_loaded_from_elsewhere_and_no_text_of_a_run_is_markup(made: ReportFiles) -> None:
    content = made.html
    seen = Seen(content)
    loaded = [(tag, name, value) for tag, own in seen.tags for name, value in own.items() if name in LOADING]
    assert [found for found in loaded if not str(found[2]).startswith(("#", "data:image/png;base64,"))] == []
    assert {tag for tag, _ in seen.tags} & {"b", "link", "iframe", "object", "embed"} == set()
    assert HOSTILE in seen.text
    assert "onerror" not in {name for _, own in seen.tags for name in own}
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", content.decode(), re.DOTALL)
    assert len(scripts) == FIGURES + MAPS + 2
    assert all("<" not in data for data in scripts[:-2])
    assert sum("plotly.js v" in script[:200] for script in scripts) == 1
    policy = next(own["content"] for tag, own in seen.tags if own.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in str(policy)


def test_the_file_is_at_most_8_mb_with_every_figure(made: ReportFiles) -> None:
    assert len(made.html) < 8_000_000
    assert TOO_LARGE not in made.html.decode()


def test_a_file_beyond_the_bound_leaves_figures_out_by_name_or_is_refused(told: Run) -> None:
    chart = run_figures.layers_now_charts(told)[0]
    chapters = [Chapter("k", "t", [ReportSection("q", "c", shown=[Figure(name, chart, "r") for name in "ab"])])]
    whole = html_page("t", chapters)
    less = html_page("t", chapters, len(whole) - 1)
    assert len(less) < len(whole)
    assert less.decode().count(TOO_LARGE) == 1
    assert json.loads(re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', less.decode())[0])["data"]
    with pytest.raises(ValueError, match="fewer runs"):
        html_page("t", chapters, 1000)


def test_the_zip_holds_the_numbers_the_spec_the_digests_the_command_and_the_references(
    told: Run, made: ReportFiles
) -> None:
    archive = zipfile.ZipFile(io.BytesIO(made.zip))
    names = set(archive.namelist())
    own = {name.removeprefix(f"{told.id}/") for name in names}
    wanted = {"spec.json", "digests.json", "replay.txt", "table.tex", "table.md", "references.bib", "survival_map.csv"}
    assert wanted | {"leads.csv", "share_map.csv", "before_after.csv", "deletion_seg.csv", "metrics.csv"} <= own
    read = {name: archive.read(f"{told.id}/{name}").decode() for name in wanted - {"references.bib"}}
    assert read["replay.txt"] == f"winnow train --replay {told.id}\n"
    assert json.loads(read["spec.json"])["name"] == HOSTILE
    assert re.fullmatch(r"[0-9a-f]{64}", json.loads(read["digests.json"])["spec.json"])
    assert read["table.tex"].startswith("\\begin{tabular}")
    assert "| depth |" in read["table.md"]
    assert len(read["survival_map.csv"].splitlines()) == 1 + 7
    references = archive.read("references.bib").decode()
    assert all(key in references for key in ("yuan2006model", "molchanov2019importance", "adebayo2018sanity"))
    assert all(not name.startswith(("/", ".")) and ".." not in name for name in names)


def test_a_run_of_an_own_loop_claims_no_seed_and_no_command_that_repeats_it(told: Run, monkeypatch) -> None:
    for module in ("of_run", "report"):
        monkeypatch.setattr(f"winnow.dashboard.report.{module}.is_recorded", lambda run: True)
    made = report([told])
    assert "seed 0" not in Seen(made.html).text
    assert "Only that loop repeats it" in zipfile.ZipFile(io.BytesIO(made.zip)).read(f"{told.id}/replay.txt").decode()


def test_every_method_has_its_publication_or_none() -> None:
    assert set(citations.PENALTIES) == set(PENALTIES)
    assert set(citations.BALANCING) == set(get_args(Balancing))
    assert set(citations.METHODS) == set(METHODS)
    used = {*citations.PENALTIES.values(), *citations.BALANCING.values(), *citations.METHODS.values()} - {""}
    used |= {*citations.ALWAYS, *citations.STUDY, *citations.TAILORING, *citations.CHECKS, "fang2023depgraph"}
    assert used == set(citations.SOURCES)
    assert citations.bibtex(citations.SOURCES).count("@misc{") == len(citations.SOURCES)


def test_runs_judged_on_other_images_are_not_compared(make_whole_run: MakeRun) -> None:
    one, other = make_whole_run(), make_whole_run(name="other", data={"dataset": "scenes", "data_seed": 7})
    text = Seen(report([one, other]).html).text
    assert "How do the runs compare?" in text
    assert "judged on different images" in text
    assert "their metrics cannot be compared" in text


def test_a_tailoring_is_told_with_its_advice_and_its_source(runs_root: Path) -> None:
    study = write_tailoring(runs_root)
    made = report([], study)
    text = Seen(made.html).text
    assert "seg needs stage 4; depth needs stage 3 of 4." in text
    archive = zipfile.ZipFile(io.BytesIO(made.zip))
    assert {f"{study.id}/advice.csv", f"{study.id}/tailored.csv"} <= set(archive.namelist())
    assert any("upadhyay2024giving" in archive.read(name).decode() for name in archive.namelist() if ".bib" in name)


def test_a_study_and_a_path_are_told_with_their_seeds(the_study: Study, the_path: Study) -> None:
    made = report([], the_study)
    text = Seen(made.html).text
    assert "has the best Δ_m" in text
    assert "n = 3 seeds · test images" in text
    names = zipfile.ZipFile(io.BytesIO(made.zip)).namelist()
    assert {f"{the_study.id}/table.tex", f"{the_study.id}/paper_table.csv"} <= set(names)
    path = Seen(report([], the_path).html).text
    assert re.search(r"At \d+ % zero groups the skill is", path)
    assert "n = 3 seeds · validation images" in path


def test_report_json_says_what_is_shown_in_which_order_under_which_captions(make_whole_run: MakeRun) -> None:
    run = make_whole_run()
    pin = Pin("losses", "It learns <i>", "How to read it.", "the page", "table", {}, "task,loss\nseg,1\n")
    add_pin(run, pin)
    keys = ("bounds", pin.id, "sparse")
    choose_for_report(
        run, replace(report_choice(run), sections=keys, hidden=("sparsities",), captions={"layer_counts": "<i>Mine"})
    )
    made = report([run])
    seen = Seen(made.html)
    assert [own["data-key"] for tag, own in seen.tags if tag == "section"] == list(keys)
    assert "It learns <i>" in seen.text
    assert "<i>Mine" in seen.text
    assert re.search("Left out by choice: What was asked, and what came out.*sparsities", seen.text)
    archive = zipfile.ZipFile(io.BytesIO(made.zip))
    assert {f"{run.id}/report.json", f"{run.id}/{pin.id}.csv", f"{run.id}/{pin.id}.tex"} <= set(archive.namelist())
    remove_pin(run, pin.id)
    assert pin.id not in Seen(report([run]).html).text
    choose_for_report(run, ReportChoice(sections=("sparse", "unheard-of")))
    with pytest.raises(ValueError, match="`sections` of report.json must be among asked"):
        report([run])


def test_a_task_for_which_it_holds_in_part_is_named_in_the_title(told: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    colours = {("seg",): "green", ("depth",): "amber", ("normals",): "red"}
    monkeypatch.setattr(
        of_explanation.trust, "verdict", lambda work, method, tasks=(): (colours.get(tuple(tasks), "green"), "why")
    )
    sections = {section.key: section for section in of_explanation.explanation_sections(told)}
    assert sections["true"].claim == (
        "The explanation holds over all tasks, but for depth it holds in part and for normals it does not hold: why."
    )


def test_tasks_that_are_not_drawn_are_counted() -> None:
    assert of_images.drawn_tasks(["a", "b"]) == (["a", "b"], [])
    drawn, (note,) = of_images.drawn_tasks([f"task {place}" for place in range(12)])
    assert (len(drawn), note.startswith("Drawn for the first 6 of 12 tasks")) == (6, True)


def test_the_worst_images_are_said_to_be_of_the_tasks_that_are_drawn(
    make_stored_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_stored_run(tasks=["depth", "seg"])
    write_pictures(write_judged(write_pruning(run)))
    cards = of_images.paid(run).shown[-1]
    assert isinstance(cards, Cards)
    assert cards.reading == of_images.WORST_SEEN
    monkeypatch.setattr(of_images, "MOST_TASKS", 1)
    cards = of_images.paid(run).shown[-1]
    assert isinstance(cards, Cards)
    assert (len(cards.cards), "Drawn for the first 1 of 2 tasks" in cards.reading) == (1, True)


def test_half_of_a_map_lies_on_the_fewest_pixels_that_hold_it() -> None:
    maps = np.zeros((3, 2, 2))
    maps[0] = 1
    maps[1, 0, 0] = -5
    assert of_images.half_of(maps)[:2].tolist() == [0.5, 0.25]
    assert np.isnan(of_images.half_of(maps)[2])


def test_a_dense_run_of_the_same_description_stands_beside(make_whole_run: MakeRun) -> None:
    run = make_whole_run(penalty={"strength": 1e-3})
    assert of_run.dense_twin(run) is None
    assert "No dense run to compare with" in Seen(report([run]).html).text
    make_whole_run(penalty={"strength": 0.0}, seed=7)
    assert of_run.dense_twin(run) is None
    dense = make_whole_run(penalty={"strength": 0.0}, name="other")
    assert of_run.dense_twin(run).id == dense.id
    assert "No dense run to compare with" not in Seen(report([run]).html).text


def test_nothing_named_is_refused() -> None:
    with pytest.raises(ValueError, match="must name a run"):
        report([])
    assert html_page("t", [Chapter("k", "t", [ReportSection("q", "c")])]).startswith(b"<!doctype html>")


def test_a_long_table_and_a_figure_of_its_own_claim_have_slides_of_their_own(told: Run) -> None:
    short, long = (ReportTable("t", pd.DataFrame({"a": range(n), "b": 1}), titles={"a": "Shown"}) for n in (3, 6))
    chart = run_figures.layers_now_charts(told)[0]
    own = Figure("f", chart, "r", "its own claim")
    section = ReportSection("q", "the claim", shown=[short, own, Figure("g", chart, "r")])
    page = html_page("t", [Chapter("k", "t", [section])]).decode()
    first, second, third = page.split('<div class="slide"')[1:]
    assert "<th scope='col'>Shown</th></tr>" in first
    assert '<p class="again" aria-hidden="true">its own claim</p>' in second
    assert '<p class="again" aria-hidden="true">the claim</p>' in third
    apart = html_page("t", [Chapter("k", "t", [replace(section, shown=[long, own])])]).decode()
    first, second, _ = apart.split('<div class="slide"')[1:]
    assert ("<table>" in first, "<table>" in second) == (False, True)
    alone = html_page("t", [Chapter("k", "t", [replace(section, shown=[long])])]).decode()
    assert "<table>" in alone.split('<div class="slide alone"')[1]
    assert 'aria-hidden="true">the claim' not in alone


def test_the_command_writes_both_files_and_refuses_by_name(
    told: Run, made: ReportFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WINNOW_RUNS", str(told.path.parent))
    out = tmp_path / "told.html"
    for words, code, said in (
        ([told.id, "-o", str(out)], 0, "told.zip"),
        ([told.id, "-o", str(tmp_path / "told.pdf")], 2, "must end in .html"),
        ([told.id, "-o", str(tmp_path / "none" / "told.html")], 2, "folder that exists"),
        (["-o", str(out)], 2, "must name a run"),
        (["unknown", "-o", str(out)], 2, "unknown"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["report", *words])
        told_by = capfd.readouterr()
        assert (ended.value.code, said in told_by.out + told_by.err) == (code, True), told_by
    assert (out.read_bytes(), (tmp_path / "told.zip").read_bytes()) == (made.html, made.zip)


@pytest.mark.browser
def test_it_opens_with_the_network_off_in_light_and_dark(made: ReportFiles, tmp_path: Path, browser: Browser) -> None:
    file = tmp_path / "report.html"
    file.write_bytes(made.html)
    asked, wrong = [], []
    context = browser.new_context(offline=True, color_scheme="dark", viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector(f"html[data-drawn='{FIGURES}']")
    assert page.locator(".plot .main-svg").count() >= FIGURES
    assert page.evaluate("document.querySelector('.plot').layout.font.color") == "#e8eaf0"
    assert page.evaluate(FAINT) == []
    page.emulate_media(color_scheme="light")
    page.wait_for_function("document.querySelector('.plot').layout.font.color === '#23262f'")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(FAINT) == []
    _slides(page)
    assert b"/MediaBox [0 0 960 540]" in page.pdf(prefer_css_page_size=True)  # 16:9
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert wrong == []


CUT = """() => {  // what runs off the slide that is shown
  const slide = document.querySelector(".slide.now")
  const own = [slide, ...slide.querySelectorAll(".scroll, .panels")]
  return own.filter((one) => one.scrollHeight > one.clientHeight + 1 || one.scrollWidth > one.clientWidth + 1)
    .map((one) => `${one.className} ${one.textContent.slice(0, 60)}`)
}"""


@pytest.mark.browser
def test_no_slide_is_cut_and_a_table_says_what_it_has_no_room_for(told: Run, tmp_path: Path, browser: Browser) -> None:
    rows = pd.DataFrame({f"column {n}": ["words " * 3] * 30 for n in range(4)} | {"folder": "folder/" * 20})
    figure = Figure("f", run_figures.layers_now_charts(told)[0], "r")
    section = ReportSection("q", "claim " * 30, shown=[ReportTable("t", rows, "caption " * 30), figure])
    file = tmp_path / "report.html"
    file.write_bytes(html_page("t", [Chapter("k", "t", [section])]))
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-drawn='1']")
    for number in range(1, 4):
        page.keyboard.press("p" if number == 1 else "ArrowRight")
        page.wait_for_function(f"document.getElementById('number').textContent === '{number} / 3'")
        assert page.evaluate(CUT) == []
        if number == 2:
            shown = page.locator("tbody tr:visible").count()
            assert page.locator(".beyond").inner_text() == f"{30 - shown} more rows are in the report."
            assert 3 < shown < 30
        if number == 3:
            assert page.evaluate("document.querySelector('.plot').layout.font.size") == 19.5
    page.keyboard.press("Escape")
    assert page.locator("tbody tr:visible").count() == 30
    assert page.evaluate("document.querySelector('.plot').layout.font.size") == 13
    page.close()


def _slides(page: Page) -> None:
    """The map is replayed by its slider; one slide fills the window, larger; arrows lead on and back, Escape ends."""
    label, slider = page.locator(".moment"), page.locator(".controls input")
    assert label.inner_text().startswith("after epoch 3")
    slider.press("Home")
    assert label.inner_text().startswith("after epoch 0")
    assert page.locator(".replay svg path").count() > 1
    page.locator("h1").first.click()
    now = ".slide.now"
    for key, number in (("p", 1), ("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("Home", 1), ("End", None)):
        page.keyboard.press(key)
        assert page.locator(now).count() == 1
        assert number is None or page.locator("#number").inner_text().startswith(f"{number} /")
    assert page.evaluate("getComputedStyle(document.documentElement).fontSize") == "24px"
    assert page.locator("nav").is_hidden()
    page.keyboard.press("Escape")
    assert page.locator(now).count() == 0
    assert page.locator("nav").is_visible()
