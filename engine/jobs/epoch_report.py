"""What is written at the end of an epoch: metrics, norms, sparsities, alarms, and tables of the current network.

| table        | columns                                                                                          |
|--------------|--------------------------------------------------------------------------------------------------|
| `groups`     | layer, channel, size, norm, relative (÷ the layer's largest), state, firmness (of dead groups),  |
|              | removable (whether its channel is), blocked (the reason if not)                                  |
| `kernels`    | layer, channel, row, column, magnitude: √(mean over outputs of W²) at each position              |
| `channels`   | every channel of the network (engine.graph.tables.channel_table)                                      |
| `components` | trunk, each head, total: parameters, MACs, how much could be removed (engine.graph.tables)       |
| `network`    | layers in the order in which they run, ends and joins (engine.graph.streams)                     |
| `streams`    | which of them takes how many channels of which                                                   |

`state` is dead (exactly zero), near (alive, below NEAR of its layer's largest norm) or alive. Tables are replaced at
most every TABLES_EVERY seconds, so seldom that they take no more than SHARE of the time, and at the end of the run.

All of them are about the dense network, whatever has been removed so far: a removed channel is dead at its own place,
with a firmness of 0, and counts as removable.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from winnow.engine.graph.liveness import Liveness
from winnow.engine.graph.streams import stream_tables, streams
from winnow.engine.graph.tables import channel_table, savings
from winnow.engine.jobs.writer import ResultWriter, Values
from winnow.engine.runs.norm_log import NormLog
from winnow.engine.runs.quantities import ALARM, NEAR
from winnow.engine.sparsity.counts import living
from winnow.engine.sparsity.groups import Bank
from winnow.engine.sparsity.removability import removability
from winnow.engine.training.state import Training

TABLES_EVERY = 5.0  # s
SHARE = 0.02  # of the time, that tables may take, and checkpoints of a user's loop


class Seldom:
    """Lets something be done at most every `least` seconds, and for no more than SHARE of the time."""

    def __init__(self, least: float = 0.0) -> None:
        self._least, self._cost, self._done = least, 0.0, -np.inf

    def when_due(self, work: Callable[[], None]) -> None:
        """Do the work if it is due; the first time it always is."""
        began = time.monotonic()
        if began - self._done > max(self._least, self._cost / SHARE):
            work()
            self._done = time.monotonic()
            self._cost = self._done - began


class EpochReport:
    """Writes the results of one training run, epoch by epoch."""

    def __init__(self, training: Training, writer: ResultWriter) -> None:
        self._training, self._writer = training, writer
        self._pace = Seldom(TABLES_EVERY)
        self._alarmed: set[str] = set()

    def metrics(self, place: tuple[int, int], split: str, metrics: Mapping[str, Mapping[str, float]]) -> None:
        """Write the metrics of every task on a split."""
        values: Values = {(task, name): value for task, own in metrics.items() for name, value in own.items()}
        self._writer.events(place, split, values)

    def resume(self) -> None:
        """Remember which layers were recorded as having hardly a group left: those of the last row of norms."""
        rows = NormLog(self._writer.folder / "groups").rows()
        if len(rows):
            counts = [bank.channels for bank in self._training.proximal.dense_banks]
            self._alarmed = set(self._few(torch.split(torch.from_numpy(rows["norm"][-1].copy()), counts)))

    def epoch(self, epoch: int, metrics: Mapping[str, Mapping[str, float]]) -> None:
        """Write the validation metrics, the norms of all groups, the three sparsities and the alarms."""
        training, proximal = self._training, self._training.proximal
        place = (epoch, training.step)
        self.metrics(place, "val", metrics)
        whole = proximal.whole(proximal.norms)
        norms = torch.cat(whole).float().cpu().numpy()
        NormLog(self._writer.folder / "groups").append(epoch, training.step, proximal.strength, norms)
        liveness = training.dense_graph().liveness()
        saved = savings(liveness)
        shares = {**training.counts.all_percents(living(whole)), **removable_shares(saved)}
        self._writer.events(place, "model", {(None, name): value for name, value in shares.items()})
        self._alarms(place)
        self._pace.when_due(lambda: self._tables(liveness, saved))

    def tables(self) -> None:
        """Write the tables of the current network."""
        liveness = self._training.dense_graph().liveness()
        self._tables(liveness, savings(liveness))

    def _tables(self, liveness: Liveness, saved: pd.DataFrame) -> None:
        training, table = self._training, channel_table(liveness)
        removable = removability(training.graph, table, training.proximal.dense_banks)
        self._writer.table("groups", groups_table(training).merge(removable, on=["layer", "channel"], how="left"))
        self._writer.table("kernels", kernels_table(training.proximal.dense_banks))
        self._writer.table("channels", table)
        self._writer.table("components", saved)
        for name, frame in zip(("network", "streams"), stream_tables(streams(liveness.graph), liveness), strict=True):
            self._writer.table(name, frame)

    def _alarms(self, place: tuple[int, int]) -> None:
        """Record the layers that have hardly a group left, once each time they get there."""
        few = self._few(self._training.proximal.whole(self._training.proximal.norms))
        new: Values = {(None, layer): float(alive) for layer, alive in few.items() if layer not in self._alarmed}
        self._writer.events(place, "alarm", new)
        self._alarmed = set(few)

    def _few(self, whole: Sequence[torch.Tensor]) -> dict[str, int]:
        """Return how many groups of a layer live, of the layers that have hardly one."""
        return {
            bank.layer: alive
            for bank, norms in zip(self._training.proximal.dense_banks, whole, strict=True)
            if (alive := int(((norms > 0) & bank.present.to(norms.device)).sum())) <= max(1, ALARM * bank.count)
            and bank.count > 1
        }


def removable_shares(saved: pd.DataFrame) -> dict[str, float]:
    """Return how much of the network [%] could be removed by the table `saved`, without and with gathering readers."""
    total = saved.iloc[-1]
    return {
        "removable_parameters": 100 * float(total["removable_parameters"] / total["parameters"]),
        "removable_macs": 100 * float(total["removable_macs"] / total["macs"]),
        "gathered_macs": 100 * float(total["gathered_macs"] / total["macs"]),
    }


def groups_table(training: Training) -> pd.DataFrame:
    """Return one row per group: layer, channel, size, norm, relative, state, firmness (NaN for living groups)."""
    proximal = training.proximal
    judged = proximal.whole(proximal.firmness(training.controller.base))  # during a refit the strength is 0
    frames = [
        _groups_of(bank, norms.detach().float().cpu().numpy(), firmness.detach().float().cpu().numpy())
        for bank, norms, firmness in zip(proximal.dense_banks, proximal.whole(proximal.norms), judged, strict=True)
    ]
    return pd.concat(frames, ignore_index=True)


def _groups_of(bank: Bank, norms: np.ndarray, firmness: np.ndarray) -> pd.DataFrame:
    relative = norms / max(float(norms.max()), 1e-30)
    state = np.where(norms == 0, "dead", np.where(relative < NEAR, "near", "alive"))
    frame = pd.DataFrame(
        {
            "layer": bank.layer,
            "channel": np.arange(bank.channels),
            "size": bank.size,
            "norm": norms,
            "relative": relative,
            "state": state,
            "firmness": np.where(norms == 0, firmness, np.nan),
        }
    )
    return frame[bank.present.cpu().numpy()]


def kernels_table(banks: list[Bank]) -> pd.DataFrame:
    """Return one row per position of the kernels that read a channel, for input groups of 2-d convolutions."""
    frames = [_kernels_of(bank) for bank in banks if bank.kind == "input" and bank.parameters[0].dim() == 4]
    columns = ["layer", "channel", "row", "column", "magnitude"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _kernels_of(bank: Bank) -> pd.DataFrame:
    (axis,) = bank.members
    squares = axis.view(axis.parameter.detach().square())  # (g, R, C, k, k), or with the channels in R
    magnitude = squares.mean(1 if axis.axis else 2).flatten(0, 1).sqrt().float().cpu().numpy()
    channels, rows, columns = magnitude.shape
    place = np.indices(magnitude.shape).reshape(3, -1)
    return pd.DataFrame(
        {
            "layer": np.repeat(bank.layer, channels * rows * columns),
            "channel": place[0],
            "row": place[1],
            "column": place[2],
            "magnitude": magnitude.ravel(),
        }
    )
