"""`python -m tests.engine.training.distributed.pair RANK FOLDER`: one of the two processes of a pair.

FOLDER holds two runs, `straight` and `stopped`, of which the second is asked to stop, and gets the mark
`noticed` when rank 0 has noticed that rank 1 died, which it does at the end. What each process comes to lies
in FOLDER/<what>-<rank>.safetensors afterwards.
"""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.engine.training.distributed.cases import CASES, NORMS, normalised, scored, spec_of, trained
from winnow.data.folder.shards import ShardsData
from winnow.data.stacking import stack
from winnow.engine.jobs.other_ranks import SilentWriter
from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.training_job import run_on
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.run import Run
from winnow.engine.sparsity.groups import input_groups
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Kept, Proximal
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.multilabel import LabelMeter
from winnow.engine.training.balancing.gramian import GramianBalancer
from winnow.engine.training.batches import Batches
from winnow.engine.training.distributed.alike import RanksDifferError, refuse_differing, seed_apart
from winnow.engine.training.distributed.batch_norm import norms_over_all
from winnow.engine.training.distributed.place import RankLostError
from winnow.engine.training.distributed.ranks import Ranks


def work_on(folder: Path, ranks: Ranks) -> str:
    """Train a run as the worker does."""
    run = Run.open(folder)
    return run_on(
        run, ResultWriter(run) if ranks.leads else SilentWriter(run), StopRequest(run), torch.device("cpu"), ranks
    )


def norms(ranks: Ranks) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, (norm, x) in NORMS().items():
        own = slice(0, 2) if ranks.leads else slice(2, None)  # of unequal size
        with norms_over_all(norm, ranks):
            found |= {f"{name}.{part}": value for part, value in normalised(norm, x[own]).items()}
    return found


def drawn(ranks: Ranks) -> dict[str, Tensor]:
    """Return the weights of a weighting that draws them, and what each process would draw next."""
    balancer = GramianBalancer(("a", "b"), lambda gramian: torch.rand(len(gramian), dtype=torch.float64))
    balancer.ranks = ranks
    torch.manual_seed(0)
    seed_apart(ranks, 0, 7)
    cut = balancer.cut(torch.randn(3, 2))
    balance = balancer.backward({"a": cut.views["a"].sum(), "b": cut.views["b"].square().sum()}, cut)
    return {"weights": balance.weights, "next": torch.rand(3)}


def own_loop(ranks: Ranks) -> dict[str, Tensor]:
    """Return weights and norms after steps of a user's own loop, in torch's DistributedDataParallel."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten()]
    net = nn.Sequential(*layers, nn.Linear(8 * 16, 2))
    replica = DistributedDataParallel(net)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    proximal = Proximal(optimizer, input_groups(net), GroupLasso(2e-3), Kept(0.05, [layers[0].weight]))
    generator = torch.Generator().manual_seed(100 + ranks.index)
    for _ in range(30):
        proximal.zero_grad()
        replica(torch.randn(4, 3, 8, 8, generator=generator)).square().mean().backward()
        proximal.step()
    return {**dict(net.named_parameters()), "norms": torch.cat(proximal.norms)}


def streamed(folder: Path, ranks: Ranks) -> dict[str, Tensor]:
    """Return which samples of tar shards this process gets, by number: in two epochs, and in order."""
    spec = ShardsData(root=str(folder))
    batches = Batches(
        stack(spec.load("train"), ["height"]), build_tasks(spec.fields, ["height"]), 4, torch.device("cpu")
    )
    told = {f"epoch {epoch}": batches.shuffled(0, epoch, False, ranks=ranks) for epoch in range(2)}
    told["in order"] = batches.in_order(ranks)
    return {name: torch.cat([batch.targets["height"] for batch in own]) for name, own in told.items()}


def differing(ranks: Ranks) -> dict[str, Tensor]:
    """Return whether other weights on rank 1 are found, and named."""
    refuse_differing(ranks, 3, [torch.ones(4), torch.tensor(1)])
    try:
        refuse_differing(ranks, 3, [torch.ones(4), torch.tensor(1.0 + 1e-7 * ranks.index)])
    except RanksDifferError as error:
        return {"found": torch.tensor(str(error).endswith("in 1"))}
    return {"found": torch.tensor(False)}


def labels(ranks: Ranks) -> dict[str, Tensor]:
    """Return the metrics of scores of which rank 0 has seen 5 images and rank 1 the other 2."""
    meter, (scores, truth) = LabelMeter(3), scored()
    own = slice(0, 5) if ranks.leads else slice(5, None)
    meter.update(scores[own], truth[own])
    meter.take([ranks.rows(rows) for rows in meter.rows])
    return {name: torch.tensor(value) for name, value in meter.compute().items()}


if __name__ == "__main__":
    ranks, folder = Ranks(int(sys.argv[1]), 2), Path(sys.argv[2])
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=ranks.index, world_size=2)
    results = {case: trained(spec_of(case), ranks) for case in CASES}
    results |= {
        "norms": norms(ranks),
        "drawn": drawn(ranks),
        "labels": labels(ranks),
        "own loop": own_loop(ranks),
        "differing": differing(ranks),
        "streamed": streamed(folder / "shards", ranks),
    }
    states = [work_on(folder / "straight", ranks), work_on(folder / "stopped", ranks)]
    if ranks.leads:
        Run.open(folder / "stopped").ask(stop=False)
    states.append(work_on(folder / "stopped", ranks))
    if ranks.leads and states != ["done", "stopped", "done"]:
        sys.exit(f"the runs ended {states}")
    for name, result in results.items():
        content = {key: value.detach().contiguous() for key, value in result.items()}
        save_file(content, folder / f"{name}-{ranks.index}.safetensors")
    if not ranks.leads:
        os._exit(9)  # as a process does that is killed
    try:
        ranks.sum_(torch.ones(1))
    except RankLostError:
        (folder / "noticed").touch()
