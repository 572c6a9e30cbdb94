"""What a user changes of a live run: the strength, and the target of a run that has one. Obeyed at the next step.

Each change is recorded once, as an event `control` at the step from which on it holds, so that a replay makes it again.
"""

from winnow.engine.jobs.writer import Writer
from winnow.engine.runs.control import Control
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.sparsity.strength import SAID_OF, Targeted
from winnow.engine.training.state import Training

TENTH = 0.1  # %: a target is met within that
FEW_STEPS = 50  # of the penalty: fewer move hardly a group to zero


class LiveChanges:
    """Obeys the strengths and the targets that are asked for while a run trains."""

    def __init__(self, training: Training, writer: Writer) -> None:
        self._training, self._writer = training, writer
        self._strength_asked: float | None = None
        self._strengths_seen = self._targets_seen = 0
        self._warned = False  # of a target that cannot be met

    def resumed(self, control: Control) -> None:
        """Take a run up again: the newest requests hold; those before them are in the log."""
        self._strengths_seen = max(control.asked - 1, 0)
        self._targets_seen = max(control.targets_asked - 1, 0)

    def obey(self, control: Control, place: tuple[int, int]) -> None:
        """Do what was asked for since the last look; `place` is the epoch and the steps done."""
        self._strengths(control, place)
        self._targets(control, place)

    def _strengths(self, control: Control, place: tuple[int, int]) -> None:
        """Record each strength that was asked for since the last look; the newest holds."""
        controller = self._training.controller
        last = control.strength if control.strength != self._strength_asked else None
        for strength in control.since(self._strengths_seen) or ([last] if last is not None else []):
            if strength != controller.base:
                controller.base = strength
                self._writer.events(place, "control", {(None, "strength"): strength})
        self._strength_asked, self._strengths_seen = control.strength, max(control.asked, self._strengths_seen)

    def _targets(self, control: Control, place: tuple[int, int]) -> None:
        """Record each target likewise, or say why it cannot be obeyed."""
        new = control.targets_since(self._targets_seen)
        self._targets_seen = max(control.targets_asked, self._targets_seen)
        controller = self._training.controller
        for target in new:
            if not isinstance(controller, Targeted):
                self._say(f"the target of {target:g} % has no effect: this run has none. Change its strength")
            elif place[1] >= controller.refit_from:
                self._say(f"the target of {target:g} % came too late: the refit keeps the zeros as they are")
            elif target != controller.percent:
                controller.percent = target
                self._writer.events(place, "control", {(None, "target"): target})
                self._warn(self.hard())

    def hard(self) -> str:
        """Say why the target of now cannot be met, "" where it can or there is none."""
        controller = self._training.controller
        return cannot_be_met(controller, self._training.spec.penalty.floor) if isinstance(controller, Targeted) else ""

    def _warn(self, message: str) -> None:
        """Say why the target cannot be met; take that back where the next one can."""
        if message or self._warned:
            self._say(message)
        self._warned = bool(message)

    def _say(self, message: str) -> None:
        self._writer.tell(message)


def cannot_be_met(controller: Targeted, floor: float) -> str:
    """Say why a target cannot be met, "" where it can."""
    if (most := controller.most()) >= controller.percent - TENTH:
        return ""
    what, done = SAID_OF[controller.of]
    return (
        f"the target of {controller.percent:g} % cannot be met: with a floor of {floor:g} at most {most:.1f} % of the "
        f"{what} can be {done.rpartition(' ')[2]}"
    )


def hardly_any_steps(controller: object, own_loop: bool = False) -> str:
    """Say that a target is left to so few steps, or in a loop of one's own to such a start, that λ hardly moves."""
    if not isinstance(controller, Targeted):
        return ""
    if own_loop and controller.base == 0:
        return "the target starts from a λ of 0, which cannot rise, as it moves by factors: give `Targeted` 1e-3"
    if controller.refit_from - controller.warm_up >= FEW_STEPS:
        return ""
    steps = max(controller.refit_from - controller.warm_up, 0)
    return f"the penalty acts for only {steps} steps: the smallest groups are then set to zero to reach the target"


def missed(training: Training) -> str:
    """Say by how much the target was missed, "" where it was met to within one group or there is none."""
    controller = training.controller
    if not isinstance(controller, Targeted):
        return ""
    what, done = SAID_OF[controller.of]
    if gap := controller.missing():
        return f"not met: {controller.percent - gap:.1f} of {controller.percent:g} % of the {what} {done}"
    if more := controller.beyond():
        return (
            f"more than the target: {controller.percent + more:.1f} instead of {controller.percent:g} % of the "
            f"{what} {done}. What was zero before λ fell does not all come back"
        )
    return ""


class HeldStrength:
    """The strength of a loop without a controller: `base` is that of the proximal step."""

    def __init__(self, proximal: Proximal) -> None:
        self._proximal = proximal

    @property
    def base(self) -> float:
        """The strength λ."""
        return self._proximal.strength

    @base.setter
    def base(self, value: float) -> None:
        self._proximal.strength = value

    def before(self, step: int) -> None:
        """Leave it as it is."""
