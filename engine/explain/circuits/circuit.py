"""The circuit of a task: the fewest edges that keep most of what the task has learned, checked by cutting the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from winnow.engine.explain.circuits.edges import Factors, cutting, every_edge, task_losses
from winnow.engine.explain.relevance.means import Means
from winnow.engine.explain.relevance.probe import Probe
from winnow.engine.explain.relevance.sites import Site
