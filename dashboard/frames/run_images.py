"""Which images a job on the result of a run can read: all of its data set, or only what the user's own loop left."""

from winnow.dashboard.frames.summaries import RECORDED
from winnow.engine.runs.run import Run

NO_IMAGES = (
    "This run holds no images, so its network cannot be judged, explained or pruned here: it was recorded or imported "
    "without any. Give `record()` a `loader`, or images as its `example`, and record the loop again."
)
ONLY_SAMPLE = (
    "Only a sample of the validation images of this run is stored, no training images. So what needs those is not "
    "offered: {}."
)


def only_sampled(run: Run) -> bool:
    """Return whether a job can read nothing but the sample of validation images that is stored with the run."""
    return run.spec.data.dataset == RECORDED


def imageless(run: Run) -> bool:
    """Return whether not even such a sample is stored."""
    return only_sampled(run) and not (run.path / "sample" / "val.json").is_file()
