"""What a report says of a run's explanation: who leads which channels, what a task relies on, and if that is true."""

from winnow.dashboard.figures import (
    deletion_curves,
    lead_bars,
    relevance_against_ablation,
    share_map,
    shuffled_weights,
    top_channels,
)
from winnow.dashboard.frames import explanations, leads, reliance, trust
from winnow.dashboard.frames.answers import of_use
from winnow.dashboard.frames.concepts import concept_table
from winnow.dashboard.frames.run_images import imageless, no_images
from winnow.dashboard.report.of_images import CHANNELS, PIXELS, SPLIT_WORDS, channels_answer, drawn_tasks, pixels_seen
from winnow.dashboard.report.of_run import outdated
from winnow.dashboard.report.parts import Badge, Figure, ReportSection, ReportTable, Shown
from winnow.dashboard.shared import explanation_figures
from winnow.dashboard.shared.explanation_figures import MethodView
from winnow.engine.runs.derived import DerivedJob
from winnow.engine.runs.run import Run

LEADS, RELIES, TRUE = "Who leads which channels?", "What does each task rely on?", "Is it true?"
NONE = "This run has not been explained yet, so this report does not say what its tasks rely on."
MEDIANS = "Medians over layers and tasks, as the badge judges them."
JUDGED = {
    "method": "method",
    "rank_correlation": "relevance with ablation",
    "share_correlation": "shares with ablation",
    "split_half": "one half of the images with the other",
    "head_randomisation": "with shuffled heads",
}
CHECKS = (
    "Ablation: relevance is compared with what happens when a channel is switched off. Deletion: channels are "
    "switched off together, the most relevant first, and in random order. Shuffling: with shuffled weights the shares "
    "must change."
)


def explanation_of(run: Run) -> DerivedJob | None:
    """Return the explanation that the pages show first, None where none has a table yet."""
    found = explanations.best(explanations.explanations(run))
    return found if found is not None and explanations.begun_explanations(found) else None


def explanation_sections(run: Run) -> list[ReportSection]:
    """Return the sections of an explanation; where there is none, they say so, and what makes one."""
    work = explanation_of(run)
    if work is None:
        none, command = NONE, f"winnow explain {run.id}"
        if imageless(run):
            none, command = no_images(run).replace("`", ""), ""
        missing = {"leads": LEADS, "relies": RELIES, "channels": CHANNELS, "pixels": PIXELS, "true": TRUE}
        return [ReportSection(q, none, missing=none, command=command, key=key) for key, q in missing.items()]
    facts, badge = _facts(work), _badge(work)
    return [_led(work), _relied(work), channels_answer(work, badge), pixels_seen(work, facts), _true(work)]


def not_claimed_of_explanation(run: Run) -> list[str]:
    """Say what an explanation does not show."""
    work = explanation_of(run)
    if work is None:
        return ["No claim about which channels a task relies on: the run was not explained."]
    colour, said = trust.verdict(work, explanations.methods(work)[0])
    asked = explanations.asked_of_explanation(work)
    found = ["Relevance holds for this network and these images. A network of another seed may use other channels."]
    found += [f"The explanation {trust.VERDICTS[colour]}: {said}."] if colour != "green" else []
    found += outdated(run, work)
    found += [f"Only these layers were explained: {', '.join(asked.layers)}."] if asked.layers else []
    state = work.status.state
    found += [f"The explanation is {state}: what it has not measured is missing."] if state != "done" else []
    return found


def _led(work: DerivedJob) -> ReportSection:
    names, method = explanations.explained_tasks(work), explanations.methods(work)[0]
    known = leads.leads(work)
    shown: list[Shown] = [
        ReportTable(
            "leads", leads.lead_summary(known, names), "Channels by the task with the largest share, by 95 % intervals."
        ),
        Figure("share_map", explanation_figures.mapped_chart(work, None), share_map.READING),
        Figure("lead_bars", explanation_figures.led_chart(work), lead_bars.READING),
    ]
    claim = of_use.tasks_answer(known, names, trust.verdict(work, method)[0]).says
    return ReportSection(LEADS, claim, _facts(work), _badge(work), shown, key="leads")


def _relied(work: DerivedJob) -> ReportSection:
    """Say of every task in how few channels half of its relevance is."""
    names, method = explanations.explained_tasks(work), explanations.methods(work)[0]
    said: list[str] = []
    shown: list[Shown] = []
    drawn, left_out = drawn_tasks(names)
    for task in names:
        frame = reliance.ranked(work, method, task)
        says = of_use.explain_answer(task, frame, trust.verdict(work, method, (task,))[0]).says
        said.append(says)
        if task in drawn:
            chart = explanation_figures.top_chart(work, MethodView(method, task))
            shown.append(Figure(f"top_channels_{task}", chart, f"{task}. {top_channels.READING}", says))
    if len(named := concept_table(work.run)):
        shown.append(ReportTable("named_channels", named, "What the authors call channels, and their notes."))
    return ReportSection(RELIES, said[0], _facts(work), _badge(work), shown, [*left_out, *said[1:]], key="relies")


def _true(work: DerivedJob) -> ReportSection:
    names, method = explanations.explained_tasks(work), explanations.methods(work)[0]
    colour, said = trust.verdict(work, method)
    table = ReportTable("methods", trust.method_trust(work), MEDIANS, JUDGED)
    if colour == "grey":
        return ReportSection(
            TRUE,
            f"This is not checked: {said}.",
            _facts(work),
            _badge(work),
            [table],
            missing="Too few channels of a layer were switched off, or none, to compare the relevance with, or all had "
            "the same effect.",
            command=f"winnow explain {work.run.id} --ablations 16",
            key="true",
        )
    shown: list[Shown] = [table]
    drawn, left_out = drawn_tasks(names)
    for task in drawn:
        against = explanation_figures.against_chart(work, MethodView(method, task))
        deleted = explanation_figures.deletion_chart(work, task)
        shown.append(Figure(f"ablation_{task}", against, f"{task}. {relevance_against_ablation.READING}"))
        shown.append(Figure(f"deletion_{task}", deleted, f"{task}. {deletion_curves.READING}"))
    shuffled = explanation_figures.randomised_chart(work, method)
    shown.append(Figure("shuffled_weights", shuffled, shuffled_weights.READING))
    doubted = trust.doubted_tasks(work, method)
    doubts = f" over all tasks, but {doubted}" if doubted else ""
    claim = f"The explanation {trust.VERDICTS[colour]}{doubts}: {said}."
    return ReportSection(TRUE, claim, _facts(work), _badge(work), shown, [*left_out, CHECKS], key="true")


def _facts(work: DerivedJob) -> list[str]:
    asked, known = explanations.asked_of_explanation(work), explanations.explanation_table(work, "faithfulness")
    images = int(known["images"].max()) if len(known) else asked.images
    split = SPLIT_WORDS[asked.split]
    facts = [f"n = {images} {split} images", f"relevance of the {asked.of} by {explanations.methods(work)[0]}"]
    off = "switched off: set to their mean" if asked.fill == "mean" else "switched off: set to zero"
    return [*facts, off, f"explanation {work.id}"]


def _badge(work: DerivedJob) -> Badge:
    colour, _ = trust.verdict(work, explanations.methods(work)[0])
    return Badge(trust.VERDICTS[colour], colour)
