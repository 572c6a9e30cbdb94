"""Looks at data sets, made as the worker makes them."""

from pathlib import Path

from winnow.data.scenes.dataset import ScenesData
from winnow.data.spec import DataSpec
from winnow.engine.jobs.look_job import run_look
from winnow.engine.jobs.writer import ResultWriter
from winnow.engine.runs.look import Look, create_look
from winnow.engine.specs.look import LookSpec

SMALL = ScenesData(size=16, train_length=5, val_length=3, test_length=2)


def write_look(root: Path, name: str = "scenes", data: DataSpec = SMALL) -> Look:
    look = create_look(LookSpec(name=name, data=data, pictures=2), root)
    writer = ResultWriter(look)
    writer.finish(run_look(look, writer, False))  # type: ignore[arg-type]  # nobody asks for the end
    return look
