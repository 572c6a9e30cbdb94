"""A target of latency or memory in a run: what predicts it, kept in the run folder, and what came of it at the end.

`latency.json` in the run folder holds the times of the network's layers that the run holds its target by
(`engine.measure.layer_times`). They are measured once, before the first step, by the process that writes; all others
take the same, and a run that is resumed, here or on another machine, reads them. So it goes on with the same bits.

At the end the network that the run stands for is made smaller and timed beside the dense one. Both shares stand in the
events of the split `predicted`, and in the run's last message.
"""

import json
from pathlib import Path

import torch

from winnow.engine.graph.calls import Call
from winnow.engine.graph.examples import batched
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.jobs.writer import ResultWriter, Values
from winnow.engine.measure.layer_times import LayerTimes, measured_with
from winnow.engine.measure.layer_timing import measured_times
from winnow.engine.measure.predicted_cost import predicted_latency, predicted_memory
from winnow.engine.pruning import NotExact, compact
from winnow.engine.pruning.activations import activation_bytes
from winnow.engine.pruning.pace import pace
from winnow.engine.runs.files import replace_json
from winnow.engine.sparsity.counts import living
from winnow.engine.training.distributed.ranks import Ranks
from winnow.engine.training.state import Training

NAME = "latency.json"
DAMAGED = "Restore the file that the run began with, or start a new run."
ROUNDS = 20


def predict_cost(training: Training, example: torch.Tensor, folder: Path) -> str:
    """Let the counts of a training predict what its target is a share of; say what there is to say about it.

    Raises:
        ValueError: stored times are damaged or of another network, or memory cannot be predicted for this one.

    """
    penalty, graph, banks = training.spec.penalty, training.graph, training.proximal.dense_banks
    if penalty.target is None or penalty.target_of not in ("latency", "memory"):
        return ""
    if penalty.target_of == "memory":
        training.counts.predicted["memory"] = predicted_memory(graph, banks)
        return ""
    content = stored_times(training, example, folder / NAME) if training.ranks.leads else b""
    times = _read(shared_content(training.ranks, content))
    training.counts.predicted["latency"] = predicted_latency(graph, banks, times)
    return f"latency is predicted from the layers' times on {measured_with(times)}"


def stored_times(training: Training, example: torch.Tensor, path: Path) -> bytes:
    """Return the stored times, measured first where there are none."""
    if not path.exists():
        images, gpus = training.spec.penalty.latency_batch, [training.device] if training.device.type == "cuda" else []
        inputs = batched(training.net, example, images)
        with torch.random.fork_rng(devices=gpus):  # whether something is measured changes nothing of the run
            found = measured_times(training.graph, inputs, images)
        replace_json(path, found.document())
    return path.read_bytes()


def _read(content: bytes) -> LayerTimes:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ValueError(f"`{NAME}` must hold JSON, got {error}. {DAMAGED}") from error
    try:
        return LayerTimes.from_document(document)
    except ValueError as error:
        raise ValueError(f"`{NAME}` must hold times of layers, got a damaged one ({error}). {DAMAGED}") from error


def shared_content(ranks: Ranks, content: bytes) -> bytes:
    """Return the content that rank 0 has."""
    length = int(ranks.agree_(torch.tensor(len(content))))
    own = torch.frombuffer(bytearray(content or bytes(length)), dtype=torch.uint8)
    return ranks.agree_(own).numpy().tobytes()


def compare_at_the_end(training: Training, example: torch.Tensor, writer: ResultWriter, place: tuple[int, int]) -> str:
    """Measure what was predicted, write both, and return them in a sentence; "" where nothing was.

    Only the process that writes does so, by itself. `place` is the epoch and step that the network is from.
    """
    of = training.spec.penalty.target_of
    if of not in training.counts.predicted:
        return ""
    writer.status(phase=f"measuring the {of} of the smaller network")
    whole = training.proximal.whole(training.proximal.norms)
    predicted = training.counts.percent(of, living(whole))
    try:
        found = _measured(training, example, writer.folder)
    except (NotExact, NotTraceable) as error:
        return f"the {of} could not be measured without the zeros: {error}"
    values: Values = {(None, f"{of}_{name}"): value for name, value in {"predicted": predicted, **found}.items()}
    writer.events(place, "predicted", values)
    spread = f" ({found['low']:.1f} to {found['high']:.1f})" if "low" in found else ""
    return f"{of}: {predicted:.1f} % less was predicted, {found['measured']:.1f} % less{spread} measured"


def _measured(training: Training, example: torch.Tensor, folder: Path) -> dict[str, float]:
    """Return the share [%] that the smaller network saves; for a time, what 80 % of the rounds said."""
    dense, of = training.dense_graph().model, training.spec.penalty.target_of
    if of == "memory":
        small = compact(dense, example, gather="never").model
        before, after = (activation_bytes(model, Call((example,))) for model in (dense, small))
        return {"measured": 100 * (1 - after / before)}
    times = _read((folder / NAME).read_bytes())
    small = compact(dense, example, gather=times.coefficients).model
    found = pace(dense, small, batched(dense, example, times.images), ROUNDS)
    return {
        "measured": 100 * (1 - found.ratio),
        "low": 100 * (1 - found.p90),
        "high": 100 * (1 - found.p10),
    }
