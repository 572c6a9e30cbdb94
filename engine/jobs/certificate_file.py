"""A certificate in a pruning's folder: certificate.json, with its long parts in the tables `removed` and `reasons`.

certificate.json: format_version, criterion, tasks, compared_with (the model that the smaller one was compared with),
inputs, calls, sizes, tensors, elements, open (what was not compared, and why), the errors of
`engine.pruning.Certificate`, layers and parameters_removed, hollow, silent (modules that gave zeros and became zeros),
programs, fixed_sizes, fixed, refitted_afterwards (the certificate holds for the network before the refit). A file of
before these were counted has no calls, sizes, tensors, elements, open, silent, programs and fixed.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from winnow.engine.pruning import Certificate
from winnow.engine.runs.reading import read_object, taken_apart
from winnow.engine.runs.work_folder import WorkFolder
from winnow.engine.specs.prune import PruneSpec

ERRORS = ("max_error_float32", "max_error_float64", "relative_error_float32", "relative_error_float64")
REASONS = {"kept": "kept_for", "pinned": "pinned", "gathered": "gathered", "folded": "folded", "constant": "constants"}

PLACES = {
    "hollow": "all channels are dead; one is kept so that the layer can run",
    "silent": "it gave nothing but zeros, and is replaced by zeros",
}


def certificate_document(certificate: Certificate, spec: PruneSpec, compared: str) -> dict[str, object]:
    """Return the certificate as JSON; `compared` says which model the smaller one was compared with."""
    removed = certificate.removed
    return {
        "format_version": 1,
        "criterion": spec.criterion,
        "tasks": list(spec.tasks) or "all",
        "compared_with": compared,
        "inputs": list(certificate.inputs),
        **{name: getattr(certificate, name) for name in ERRORS},
        "relative_error_training": certificate.relative_error_training,
        "calls": list(certificate.calls),
        "sizes": list(certificate.sizes),
        "tensors": certificate.tensors,
        "elements": certificate.elements,
        "open": dict(certificate.open),
        "fixed": list(certificate.fixed),
        "layers": len(removed),
        "parameters_removed": int((removed["parameters_before"] - removed["parameters_after"]).sum()),
        "hollow": list(certificate.hollow),
        "silent": list(certificate.silent),
        "programs": list(certificate.programs),
        "fixed_sizes": certificate.fixed_sizes,
        "refitted_afterwards": spec.refit_epochs > 0,
    }


def reasons_table(certificate: Certificate) -> pd.DataFrame:
    """Return why channels were kept, and how layers changed so that the others could go: kind, layer, reason."""
    rows = [
        [kind, layer, reason] for kind, name in REASONS.items() for layer, reason in getattr(certificate, name).items()
    ]
    rows += [[kind, place, reason] for kind, reason in PLACES.items() for place in getattr(certificate, kind)]
    return pd.DataFrame(rows, columns=["kind", "layer", "reason"])


def read_certificate(pruning: WorkFolder) -> Certificate:
    """Return the certificate in a pruning's folder.

    Raises:
        ValueError, OSError: it is missing, or not in this format.

    """
    file = pruning.path / "certificate.json"
    document = read_object(file)
    if document.get("format_version") != 1:
        raise ValueError(
            f"`format_version` must be 1, got {document.get('format_version')!r:.20}. Use the version that wrote it."
        )
    with taken_apart(file):
        return _certificate(document, pruning)


def _certificate(document: Mapping[str, Any], pruning: WorkFolder) -> Certificate:
    reasons = pruning.table("reasons")
    named: dict[str, Any] = {
        name: dict(zip(own["layer"], own["reason"], strict=True))
        for kind, name in REASONS.items()
        for own in (reasons[reasons["kind"] == kind],)
    }
    values: dict[str, Any] = {name: float(document[name]) for name in ERRORS}
    values |= {"inputs": tuple(document["inputs"]), "hollow": tuple(document["hollow"])}
    values |= {"removed": pruning.table("removed"), "fixed_sizes": bool(document["fixed_sizes"])}
    trained = document.get("relative_error_training")
    values |= {name: tuple(document.get(name, ())) for name in ("calls", "sizes", "fixed", "silent", "programs")}
    values |= {name: int(document.get(name, 0)) for name in ("tensors", "elements")}
    values |= {"open": dict(document.get("open", {})), "relative_error_training": trained and float(trained)}
    return Certificate(**values, **named)
