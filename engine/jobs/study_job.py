"""A study from its spec to its tables: runs are found or made, trained, and their results collected.

The process of a study trains nothing itself. It decides which run is next (`engine.studies.plan`), gives runs to a pool
(`engine.studies.scheduling`), and writes tables as runs end. Stopping it stops its runs; killing it does not. Started
again, it goes on with the runs it had. When a run fails, the others go on; those that need it are skipped.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from winnow.engine.jobs.stop_request import StopRequest
from winnow.engine.jobs.study_members import given_run, member_spec
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs import launch
from winnow.engine.runs.run import Run, create, run_below
from winnow.engine.runs.study import COLUMNS, Study
from winnow.engine.specs.study import PathSpec, StudySpec, TailorSpec, parse_many
from winnow.engine.studies.depth_advice import depth_rule
from winnow.engine.studies.latency import latency_rows, timed_pruning
from winnow.engine.studies.plan import Member, plan
from winnow.engine.studies.rows import result_rows, results_table
from winnow.engine.studies.scheduling.machine import cores_of
from winnow.engine.studies.scheduling.pool import Pool, local_pool
from winnow.engine.studies.spec_hash import KnownRuns, same_request
from winnow.engine.studies.tables import study_tables

POLL = 0.25  # s
TABLES_EVERY = 5.0  # s
OVER = ("done", "failed", "lost", "skipped")


def run_study(
    study: Study, writer: ResultWriter, stop_requested: StopRequest, pool: Pool | None = None
) -> Literal["done", "stopped"]:
    """Train the runs of a study, in the pool that its spec asks for, and write its tables; return the final state.

    Raises:
        StudyError: some runs failed; all others are done, and the tables are written.

    """
    pool = pool or build_pool(study.spec, launch.said_place())
    try:
        state = _RunningStudy(study, writer, pool).train(stop_requested)
    finally:
        pool.close()
    return state


class StudyError(ValueError):
    """Some runs of a study failed."""


def build_pool(spec: StudySpec | PathSpec, place: Mapping[str, Any] | None) -> Pool:
    """Return the pool of the place that who starts the study says, {scheduler, cluster}: Dask, or this machine.

    Raises:
        ValueError: the spec names a place, and nobody said one now: the folder may come from somebody else.

    """
    if place is None:
        if spec.scheduler or spec.cluster:
            raise ValueError("`place` must be given when the study is started, got it only from the folder.")
        return local_pool(spec.base, spec.workers)
    said = spec.model_copy(update={"scheduler": place.get("scheduler") or "", "cluster": place.get("cluster") or {}})
    checked = parse_many(said.model_dump())
    if not (checked.scheduler or checked.cluster):
        return local_pool(spec.base, spec.workers)
    from winnow.engine.studies.scheduling.cluster import connected, started

    return connected(checked.scheduler) if checked.scheduler else started(checked.cluster, cores_of(spec.base))


@dataclass
class _Entry:
    """A member, its run, and how far it is."""

    member: Member
    state: str = "waiting"
    run: Run | None = None
    reused: bool = False
    message: str = ""
    results: list[dict[str, object]] = field(default_factory=list)

    def row(self) -> list[object]:
        member, run = self.member, self.run
        place = [member.arm, member.subset, member.balancing, member.level.of, member.level.value, member.seed]
        return [member.key, *place, self.state, run.id if run else "", self.reused, self.message]


@dataclass
class _RunningStudy:
    """The members of a study, what each waits for, and the results of those that ended."""

    study: Study
    writer: ResultWriter
    pool: Pool
    entries: dict[str, _Entry] = field(default_factory=dict)
    written: pd.DataFrame | None = None
    tabled: tuple[int, float] = (0, 0.0)

    def train(self, stop_requested: StopRequest) -> Literal["done", "stopped"]:
        """Train all members, or as many as there are before a stop is requested."""
        self.writer.status(phase="looking for existing runs", epochs=0)
        self._load_members()
        known = KnownRuns(self.study.root)
        while any(entry.state not in OVER for entry in self.entries.values()):
            if stop_requested:
                return self._stopped()
            self._note_ended()
            self._start_ready(known)
            self._write_progress()
            if self._done() > self.tabled[0] and time.monotonic() - self.tabled[1] > TABLES_EVERY:
                self._tables()
            time.sleep(POLL)
        self._write_progress()
        self._tables()
        if self.study.spec.latency and not self._time_runs(stop_requested):
            return "stopped"
        failed = [entry for entry in self.entries.values() if entry.state != "done"]
        if failed:
            first = next((entry for entry in failed if entry.state != "skipped"), failed[0])
            raise StudyError(f"{len(failed)} of {len(self.entries)} runs failed, {first.member.key}: {first.message}")
        return "done"

    def _load_members(self) -> None:
        """Plan the members; those that had a run before the study was interrupted keep it."""
        self.entries = {member.key: _Entry(member) for member in plan(self.study.spec)}
        for _, row in self.study.members().iterrows():
            entry = self.entries.get(str(row["key"]))
            if entry is None or not row["run"]:
                continue
            try:
                entry.run = run_below(self.study.root, str(row["run"]))
            except FileNotFoundError:
                continue  # removed meanwhile: it is made again
            entry.reused = bool(row["reused"])
            if entry.run.status.state == "done":
                self._end(entry, "done")  # one that failed is tried again: a disk may have been full
        for entry in self.entries.values():
            if entry.member.run:
                self._take_given(entry)

    def _take_given(self, entry: _Entry) -> None:
        """Take a run that the study was given, or note why it can't be."""
        try:
            entry.run, entry.reused = given_run(entry.member, self.study.root), True
        except (OSError, ValueError) as error:
            entry.state, entry.message, entry.run = "failed", str(error), None
            return
        self._end(entry, "done")

    def _note_ended(self) -> None:
        """Note which runs have ended, and which can no longer be trained."""
        for entry in self.entries.values():
            if entry.state == "running" and entry.run is not None and (state := self.pool.ended(entry.run)):
                self._end(entry, state)
        for entry in self.entries.values():
            lost = [key for key in entry.member.needs.keys if self.entries[key].state in ("failed", "lost", "skipped")]
            if entry.state == "waiting" and lost:
                entry.state, entry.message = "skipped", f"it needs {lost[0]}, which has failed"

    def _end(self, entry: _Entry, state: str) -> None:
        """Note how a run ended; one that was stopped by hand counts as failed until it is resumed."""
        run = entry.run
        if run is None:
            return
        if state == "stopped":
            state, entry.message = "failed", "it was stopped by hand: start the study again to resume it"
        else:
            entry.message = run.status.message
        entry.state = state
        if state == "done":
            entry.results = result_rows(self._who(entry.member), run)

    def _start_ready(self, known: KnownRuns) -> None:
        """Start the members that need no other any more, as long as the pool takes runs."""
        for entry in self.entries.values():
            if entry.state == "waiting" and all(self.entries[key].state == "done" for key in entry.member.needs.keys):
                if not self.pool.free():
                    return
                self._start(entry, known)

    def _start(self, entry: _Entry, known: KnownRuns) -> None:
        """Find or make the run of a member, and give it to the pool."""
        rule = depth_rule(self.study.spec) if isinstance(self.study.spec, TailorSpec) else None
        runs = {key: run for key, other in self.entries.items() if (run := other.run)}
        try:
            spec = member_spec(entry.member, runs, rule)
        except ValueError as error:  # what it needs can't be had from those runs: the others go on
            entry.state, entry.message = "failed", str(error)
            return
        if entry.run is not None and not same_request(entry.run, spec):
            entry.run, entry.reused = None, False  # a folder from somebody else may name any run of the root
        if entry.run is None:
            if (found := known.done(spec)) is not None:
                entry.run, entry.reused = found, True
                self._end(entry, "done")
                return
            entry.run = create(spec, self.study.root)
        entry.state = "running"
        self._write_members()  # before the run starts: the study knows it, whatever happens then
        self.pool.start(entry.run)

    def _stopped(self) -> Literal["stopped"]:
        """Stop the runs that are going, and wait for them."""
        going = [entry for entry in self.entries.values() if entry.state == "running" and entry.run is not None]
        self.writer.status(phase=f"stopping {len(going)} runs")
        while going:
            for entry in going:
                if entry.run is not None:
                    self.pool.stop(entry.run)
            time.sleep(POLL)
            going = [entry for entry in going if entry.run is not None and not self.pool.ended(entry.run)]
        for entry in self.entries.values():
            if entry.state == "running" and entry.run is not None:
                entry.state = entry.run.status.state
        self._write_members()
        self._tables()
        return "stopped"

    def _time_runs(self, stop_requested: StopRequest) -> bool:
        """Prune and time the finished runs; return False if a stop was requested meanwhile."""
        found: list[pd.DataFrame] = []
        for entry in self.entries.values():
            if entry.state != "done" or entry.run is None:
                continue
            self.writer.status(phase=f"timing {entry.member.key}")
            pruning = timed_pruning(entry.run, self.study.spec.base.threads, lambda: bool(stop_requested))
            if stop_requested:
                return False
            if pruning is not None:
                found.append(latency_rows(self._who(entry.member), entry.run, pruning))
                self.writer.table("latency", pd.concat(found, ignore_index=True))
        return True

    def _write_progress(self) -> None:
        """Write the members' states, and how far the whole study is."""
        entries = self.entries.values()
        going = [entry.run for entry in entries if entry.state == "running" and entry.run is not None]
        over = sum(entry.state in OVER for entry in entries)
        part = (over + sum(run.recorded_status().progress for run in going)) / len(self.entries)
        phase = f"{over} of {len(self.entries)} runs ended, {len(going)} running, {self.pool.where}"
        self._write_members()
        self.writer.tick(phase=phase, progress=part, step=over)

    def _write_members(self) -> None:
        table = pd.DataFrame([entry.row() for entry in self.entries.values()], columns=pd.Index(COLUMNS))
        if self.written is None or not table.equals(self.written):
            self.writer.table("members", table)
            self.written = table

    def _tables(self) -> None:
        rows = [row for entry in self.entries.values() for row in entry.results]  # in the order of the plan
        for name, table in study_tables(self.study, results_table(rows)).items():
            self.writer.table(name, table)
        self.tabled = (self._done(), time.monotonic())

    def _done(self) -> int:
        return sum(entry.state == "done" for entry in self.entries.values())

    def _who(self, member: Member) -> dict[str, object]:
        level = {"level_of": member.level.of, "level": member.level.value}
        return {"arm": member.arm, "subset": member.subset, "balancing": member.balancing, **level, "seed": member.seed}
