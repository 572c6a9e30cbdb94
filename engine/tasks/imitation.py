"""How far a prediction is from that of a teacher, for each kind of task: zero where they agree, a scalar, no labels.

| kind                                | distance, mean over images and pixels                          |
|-------------------------------------|----------------------------------------------------------------|
| segmentation, classification        | T² KL(teacher ‖ student) of the classes at temperature T = 2   |
|                                     | (Hinton, Vinyals & Dean 2015, arXiv 1503.02531)                |
| multilabel, edges                   | KL(teacher ‖ student) of each label                            |
| depth                               | absolute difference [m]                                        |
| normals                             | 1 − cos                                                        |
| regression, vector, map             | squared difference, in units of the squared scale              |
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional

from winnow.engine.specs.registry import entry

Distance = Callable[[Tensor, Tensor], Tensor]
TEMPERATURE = 2.0


def imitation(kind: str, student: Tensor, teacher: Tensor) -> Tensor:
    """Return the distance of two raw predictions of one kind of task.

    Raises:
        ValueError: there is no distance for tasks of this kind.

    """
    return entry(DISTANCES, kind, "kind")(student, teacher)


def _classes(student: Tensor, teacher: Tensor) -> Tensor:
    truth, guess = ((logits / TEMPERATURE).log_softmax(1) for logits in (teacher, student))
    divergence = functional.kl_div(guess, truth, reduction="none", log_target=True)
    return TEMPERATURE**2 * divergence.sum(1).mean()


def _labels(student: Tensor, teacher: Tensor) -> Tensor:
    truth = teacher.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits
    return entropy(student, truth) - entropy(teacher, truth)


def _directions(student: Tensor, teacher: Tensor) -> Tensor:
    return (1 - functional.cosine_similarity(student, teacher, dim=1, eps=1e-6)).mean()


DISTANCES: Mapping[str, Distance] = MappingProxyType(
    {
        "segmentation": _classes,
        "classification": _classes,
        "multilabel": _labels,
        "edges": _labels,
        "depth": functional.l1_loss,
        "normals": _directions,
        "regression": functional.mse_loss,
        "vector": functional.mse_loss,
        "map": functional.mse_loss,
    }
)
"""The distance of each kind of task that has one."""
