"""Torch-Pruning on the same zeros, where it is installed; it is no dependency of anything."""

import copy
import gc
import importlib.util
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from winnow.engine.graph.calls import Call, run
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.trace import trace
from winnow.engine.measure.counts import parameters

THEIRS = "torch-pruning==1.6.1"
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


def torch_pruning(folder: Path | None = None) -> ModuleType | None:
    """Return the package, None where it is not installed and cannot be put into `folder`."""
    if folder is not None and importlib.util.find_spec("torch_pruning") is None:
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), THEIRS]
        subprocess.run(command, capture_output=True)
        sys.path.append(str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("torch_pruning")
        except ImportError:
            return None


def removed_share(tp: Any, net: nn.Module, call: Call, ours: int) -> str:
    """Return which share of the parameters that we remove it removes, or how it fails."""
    theirs = copy.deepcopy(net)
    try:
        while _pass(tp, theirs, call):
            pass
        with torch.no_grad():
            found = [flatten(run(model.eval(), call)) for model in (net, theirs)]
    except Exception as error:
        return f"fails ({type(error).__name__})"
    for (_, one), (_, other) in zip(*found, strict=True):
        if one.shape != other.shape or float((one - other).abs().max()) > 1e-6 * float(one.abs().max().clamp(min=1e-3)):
            return "other outputs"
    before = parameters(net)
    return f"{(before - parameters(theirs)) / max(before - ours, 1):.0%}"


def _pass(tp: Any, net: nn.Module, call: Call) -> bool:
    """Remove the channels that every reader ignores once; return whether there were any."""
    graph, before = _graph(tp, net, call), parameters(net)
    for group in graph.get_all_groups(root_module_types=LAYERS):
        read, ignored = set(), set()
        for item in group:
            if graph.is_in_channel_pruning_fn(item.dep.handler) and isinstance(item.dep.target.module, LAYERS):
                weight = item.dep.target.module.weight.detach()
                weight = (
                    weight if item.dep.target.module.__class__.__name__.startswith("ConvT") else weight.transpose(0, 1)
                )
                used = (weight.flatten(1) != 0).any(1)
                read |= {root for root, place in zip(item.root_idxs, item.idxs, strict=True) if bool(used[place])}
                ignored |= set(item.root_idxs)
        dead = sorted(ignored - read)
        dead = dead[1:] if len(dead) == len(ignored) else dead
        if dead:
            part = graph.get_pruning_group(group[0].dep.target.module, group[0].dep.handler, idxs=dead)
            if graph.check_pruning_group(part):
                part.prune()
    return parameters(net) < before


def _graph(tp: Any, net: nn.Module, call: Call) -> Any:
    inputs = call.args if len(call.args) > 1 else call.args[0]
    return tp.DependencyGraph().build_dependency(net, example_inputs=inputs, verbose=False)


def trace_ratio(tp: Any, net: nn.Module, call: Call) -> float | None:
    """Return the time of our trace (both modes) by that of its graph (one mode); None where it fails."""
    net = copy.deepcopy(net).float()
    call = call.changed(lambda leaf: leaf.float() if leaf.is_floating_point() else leaf)
    try:
        theirs = _seconds(lambda: _graph(tp, net, call))
    except Exception:
        return None
    return _seconds(lambda: trace(net, call)) / theirs


def _seconds(job: Callable[[], Any], rounds: int = 2) -> float:
    found = []
    for _ in range(rounds):
        gc.collect()
        start = time.process_time()
        job()
        found.append(time.process_time() - start)
    return max(min(found), 1e-9)
