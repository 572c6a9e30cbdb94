"""From a spec to a balancer."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from winnow.engine.specs.balancing import BalancingSpec, missing_packages
from winnow.engine.training.balancing.balancer import Balancer
from winnow.engine.training.balancing.famo import Famo
from winnow.engine.training.balancing.gradnorm import GradNorm
from winnow.engine.training.balancing.gramian import GramianBalancer, Weighting
from winnow.engine.training.balancing.losses import DynamicAverage, Equal, Static, Uncertainty
from winnow.engine.training.balancing.nash import nash_mtl
from winnow.engine.training.balancing.probe import Probed

Maker = Callable[[BalancingSpec, Sequence[str]], Balancer]

OWN: Mapping[str, Maker] = MappingProxyType(
    {
        "equal": lambda spec, tasks: Equal(tasks, spec.gradients),
        "static": lambda spec, tasks: Static(tasks, spec.task_weights, spec.gradients),
        "auto": lambda spec, tasks: Probed(tasks, spec.probe, spec.gradients),
        "uncertainty": lambda spec, tasks: Uncertainty(tasks, spec.gradients),
        "dwa": lambda spec, tasks: DynamicAverage(tasks, spec.temperature, spec.gradients),
        "famo": lambda spec, tasks: Famo(tasks, spec.weights_rate, spec.gradients),
        "gradnorm": lambda spec, tasks: GradNorm(tasks, spec.asymmetry, spec.weights_rate, spec.gradients),
        "nash_mtl": lambda spec, tasks: GramianBalancer(tasks, nash_mtl, spec.gradients),
    }
)


class MissingPackageError(ValueError):
    """A method whose packages are not installed; the message says how to get them."""


def build_balancer(spec: BalancingSpec, tasks: Sequence[str]) -> Balancer:
    """Return the balancer that the spec describes, for the tasks in this order.

    Raises:
        MissingPackageError: the method needs the extra `balancing`.
        ValueError: static weights that do not name each task.

    """
    if absent := missing_packages(spec.balancing):
        raise MissingPackageError(
            f"`balancing` {spec.balancing} needs packages that are not installed: {', '.join(absent)}. "
            "Run pip install 'winnow-mtl[balancing]'."
        )
    if spec.balancing in OWN:
        return OWN[spec.balancing](spec, tasks)
    return GramianBalancer(tasks, _weighting(spec), spec.gradients)


def _weighting(spec: BalancingSpec) -> Weighting:
    """Return the Gramian weighting of the spec's method; importing TorchJD and its solver takes a second or two."""
    from winnow.engine.training.balancing.weightings import WEIGHTINGS, cagrad

    return cagrad(spec.radius) if spec.balancing == "cagrad" else WEIGHTINGS[spec.balancing]
