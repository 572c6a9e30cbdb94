"""Which images a job on the result of a run can read: all of its data set, or only what the user's own loop left."""

from winnow.dashboard.frames.summaries import RECORDED, summary
from winnow.engine.runs.run import Run

UNJUDGED = "This run holds no images, so its network cannot be judged, explained or pruned here: it was {}"
OF_A_LOOP = "recorded without any. Give `record()` a `loader`, or images as its `example`, and record the loop again."
OF_A_FILE = (
    "imported without a data set. Import it again with one: "
    "`winnow import CHECKPOINT --network MODULE:FUNCTION --dataset NAME`."
)
ONLY_SAMPLE = (
    "Only a sample of the validation images of this run is stored, no training images. So what needs those is not "
    "offered: {}."
)


def no_images(run: Run) -> str:
    """Say that a run holds no images, and what to do, by how it came here."""
    return UNJUDGED.format(OF_A_FILE if summary(run).imported else OF_A_LOOP)


def only_sampled(run: Run) -> bool:
    """Return whether a job can read nothing but the sample of validation images that is stored with the run."""
    return run.spec.data.dataset == RECORDED


def imageless(run: Run) -> bool:
    """Return whether not even such a sample is stored."""
    return only_sampled(run) and not (run.path / "sample" / "val.json").is_file()
