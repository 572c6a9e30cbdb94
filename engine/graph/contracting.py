"""Products of matrices of features: attention in all its forms, and tables of neighbours.

An axis is one of four kinds, as in `einsum`: along a *shared* axis (batch, head) both factors and the result lie; a
*summed* one is in both factors; a *free* one in one factor and the result. Channels along a shared axis are heads: all
that stands at one place there, in both factors, is one unit (a head goes as a whole, or stays). Elsewhere channels
along a free axis are those of the result, and channels along a summed axis go in pairs: where one factor is zero, the
other does nothing.
"""

import numpy as np

from winnow.engine.graph.carriers import Carrier, squeezed
from winnow.engine.graph.contract_steps import Contract, Factor, Repeated, WeightStep
from winnow.engine.graph.grids import tied_over
from winnow.engine.graph.operation import Operation, tensors_in
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.pointwise import meet
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.records import Join, Reach
from winnow.engine.graph.steps import Opaque

MIXES = "mixes the channels"
SCALED = "is scaled by their number"


def contracted(recording: Recording, operation: Operation) -> Carrier:
    """Products of two tensors: matmul, bmm, mm, baddbmm, einsum, and attention."""
    if (made := _as_layer(recording, operation)) is not None:
        return made
    recording.meets(operation)
    name = operation.name
    if name == "scaled_dot_product_attention":
        return _attention(recording, operation)
    if name == "einsum":
        found = _letters(operation)
        return mixed(recording, operation) if found is None else _product(recording, operation, found, None)
    first = 1 if name == "baddbmm" else 0
    one, other = operation.carrier(first), operation.carrier(first + 1, "other")
    if name == "rmatmul":
        one, other = other, one
    if name not in ("matmul", "rmatmul", "bmm", "mm", "baddbmm") or min(len(one.shape), len(other.shape)) < 2:
        return mixed(recording, operation)
    shape = (*np.broadcast_shapes(one.shape[:-2], other.shape[:-2]), one.shape[-2], other.shape[-1])
    factors = _rows_and_columns(one, other)
    if first == 0:
        return _product(recording, operation, factors, None)
    made = _product(recording, operation, factors, shape)
    return _added(recording, operation, made, operation.carrier(0), None)


def _rows_and_columns(one: Carrier, other: Carrier) -> tuple[Factor, Factor]:
    count = max(len(one.shape), len(other.shape))
    left, right = (*_batch(one, other, count), count - 2, count), (*_batch(other, one, count), count, count - 1)
    return Factor(one, left), Factor(other, right)


def _as_layer(recording: Recording, operation: Operation) -> Carrier | None:
    """Return what a product with a parameter gives, as the layer that it is: batched experts, weights in an einsum.

    A weight (E, inputs, outputs) of E experts makes one set of outputs for all of them, and reads one set of inputs: a
    hidden unit goes from every expert at once, since the weight is one block. None where the input has channels along
    other axes than the summed ones.
    """
    carriers = operation.carriers()
    if len(carriers) != 2 or operation.name not in ("matmul", "bmm", "mm", "einsum"):
        return None
    owned = [id(tensor) in recording.parameters for tensor in tensors_in((operation.args, operation.kwargs))]
    steady = [not (c.bears or c.index in recording.varying) for c in carriers]
    if owned.count(True) != 1 or steady != owned or min(len(carrier.shape) for carrier in carriers) < 2:
        return None
    factors = _letters(operation) if operation.name == "einsum" else _rows_and_columns(carriers[0], carriers[1])
    if factors is None:
        return None
    x, weight = factors if owned[1] else factors[::-1]
    (name,) = recording.named_by(weight.carrier)
    return _layer(recording, operation, (x, weight), name)


def _layer(recording: Recording, operation: Operation, factors: tuple[Factor, Factor], name: str) -> Carrier | None:
    (x, weight), out = factors, operation.result.dim()
    count = max(out, *(1 + place for factor in factors for place in factor.places if place is not None))
    labels = squeezed(recording.partition.roots(x.spread(x.carrier.labels, count)))
    long = [axis for axis, length in enumerate(labels.shape) if length > 1]
    sizes = {
        place: (length, axis)
        for axis, (place, length) in enumerate(zip(weight.places, weight.carrier.shape, strict=True))
    }
    if not x.carrier.bears:  # an input, all of which stays: what is read of it lies along the summed axis
        read = [place for place in x.places if place is not None and place >= out and place in sizes]
        long = read if len(read) == 1 else long
    free = [
        place for place in sizes if place is not None and place < out and place not in x.places and sizes[place][0] > 1
    ]
    if len(long) > 1 or any(axis < out or axis not in sizes for axis in long) or not free:
        return None
    made = max(free, key=lambda place: sizes[place][0])
    rows = recording.rows((name, "writer"), name, sizes[made][1], sizes[made][0])
    result = recording.layer_result(operation, rows, made - out)
    source, columns = 0, np.zeros(1, np.int64)
    if long:
        source = x.places.index(long[0]) - len(x.places)
        columns = recording.site((name, "reader"), name, sizes[long[0]][1], recording.along(x.carrier, source))
    recording.flows.append(Reach(operation.place, np.unique(x.carrier.labels), rows))
    axes = (sizes[made][1], sizes[long[0]][1] if long else None)
    step = WeightStep(result.index, x.carrier.index, (name, *axes), source, columns, result.labels.shape)
    recording.steps.append(step)
    return result


def mixed(recording: Recording, operation: Operation) -> Carrier:
    """A product that is not followed: every result depends on every channel."""
    labels = recording.unmade_labels(operation.place, 1)
    sources = [carrier.labels for carrier in operation.carriers()]
    recording.mix(operation, f"{operation.name} {MIXES}", sources, labels)
    result = recording.result(operation, labels.reshape((1,) * operation.result.dim()))
    every = tuple(carrier.index for carrier in operation.carriers())
    recording.steps.append(Opaque(result.index, every, True, result.labels.shape))
    return result


def _batch(one: Carrier, other: Carrier, count: int) -> tuple[int | None, ...]:
    """Return the places of the leading axes of a factor; one that is broadcast against the other has none."""
    missing = count - len(one.shape)
    shape = (1,) * (count - len(other.shape)) + other.shape
    leading = range(len(one.shape) - 2)
    return tuple(None if one.shape[axis] == 1 < shape[axis + missing] else axis + missing for axis in leading)


def _attention(recording: Recording, operation: Operation) -> Carrier:
    """softmax(scale · q kᵀ + mask) v; where the scale comes of the number of dimensions, that number stays."""
    query, key, value = (operation.carrier(place, name) for place, name in enumerate(("query", "key", "value")))
    if operation.value(7, "enable_gqa", False) and query.shape[-3] != key.shape[-3]:
        key, value = (_repeated(recording, operation, part, query.shape[-3]) for part in (key, value))
    count = len(operation.result.shape)
    if not len(query.shape) == len(key.shape) == len(value.shape) == count:
        return mixed(recording, operation)
    shape = (*np.broadcast_shapes(query.shape[:-2], key.shape[:-2]), query.shape[-2], key.shape[-2])
    left, right = (*_batch(query, key, count), count - 2, count), (*_batch(key, query, count), count - 1, count)
    scaled = operation.value(6, "scale") is None
    scores = _product(recording, operation, (Factor(query, left), Factor(key, right)), shape, scaled)
    mask = operation.carried_args[3] if len(operation.carried_args) > 3 else operation.carried_kwargs.get("attn_mask")
    if isinstance(mask, Carrier):
        scores = _added(recording, operation, scores, mask, shape)
    scores = _weights(recording, operation, scores)
    left, right = (*_batch(scores, value, count), count - 2, count), (*_batch(value, scores, count), count, count - 1)
    return _product(recording, operation, (Factor(scores, left), Factor(value, right)), None)


def _weights(recording: Recording, operation: Operation, scores: Carrier) -> Carrier:
    """Return the softmax of scores: of zero queries too it gives weights that are not zero."""
    made = _made(recording, operation, scores.shape, scores.labels)
    recording.steps.append(Opaque(made.index, (scores.index,), False, scores.labels.shape))
    return made


def _repeated(recording: Recording, operation: Operation, part: Carrier, heads: int) -> Carrier:
    """Grouped queries: each head of the keys stands for several of the queries, and goes with them."""
    times = heads // part.shape[-3]
    labels = np.repeat(part.labels, times, -3) if part.labels.shape[-3] > 1 else part.labels
    shape = (*part.shape[:-3], heads, *part.shape[-2:])
    made = _made(recording, operation, shape, labels)
    recording.steps.append(Repeated(made.index, part.index, times, labels.shape))
    return made


def _added(
    recording: Recording, operation: Operation, scores: Carrier, other: Carrier, shape: tuple[int, ...] | None
) -> Carrier:
    """Add a mask, or a table of relative positions whose entries go with their heads."""
    labels = meet(recording, operation, [scores, other])
    made = _made(recording, operation, shape, labels)
    recording.steps.append(Opaque(made.index, (scores.index, other.index), False, labels.shape))
    return made


def _made(recording: Recording, operation: Operation, shape: tuple[int, ...] | None, labels: Labels) -> Carrier:
    """Enter the result of an operation, or (with a shape) a tensor that it makes inside."""
    if shape is None:
        return recording.result(operation, labels)
    made = Carrier(len(recording.carriers), f"{operation.node}:inside", shape, labels, True, -1)
    recording.carriers.append(made)
    return made


def _letters(operation: Operation) -> tuple[Factor, Factor] | None:
    """Return the factors of an einsum of two tensors, None for one that is not followed."""
    equation, factors = operation.args[0], operation.carriers()
    if not isinstance(equation, str) or len(factors) != 2 or "." in equation or "->" not in equation:
        return None
    given, out = equation.replace(" ", "").split("->")
    letters = given.split(",")
    every = [*out, *(letter for letter in dict.fromkeys(letters[0]) if letter not in out)]
    repeated = any(len(set(part)) < len(part) for part in (*letters, out))
    if repeated or any(letter not in letters[1] for letter in every[len(out) :]) or set(letters[1]) - set(every):
        return None
    one, other = (
        Factor(carrier, tuple(map(every.index, part))) for carrier, part in zip(factors, letters, strict=True)
    )
    return one, other


def _product(
    recording: Recording,
    operation: Operation,
    factors: tuple[Factor, Factor],
    shape: tuple[int, ...] | None,
    scaled: bool = False,
) -> Carrier:
    """Enter one product; `shape` is that of a result inside the operation, None for its own."""
    out = len(operation.result.shape if shape is None else shape)
    count = max(out, *(1 + place for factor in factors for place in factor.places if place is not None))
    labels, pairs = _met(recording, operation, factors, (out, count), scaled)
    labels = labels.reshape(labels.shape[:out])
    made = _made(recording, operation, shape, labels)
    sources = [np.unique(factor.carrier.labels) for factor in factors]
    recording.flows.append(Reach(operation.place, np.concatenate(sources), np.unique(labels)))
    recording.joins.append(Join(operation.place, labels.ravel()))
    recording.steps.append(Contract(made.index, factors, (out, count), pairs, labels.shape))
    return made


def _met(
    recording: Recording,
    operation: Operation,
    factors: tuple[Factor, Factor],
    counts: tuple[int, int],
    scaled: bool,
) -> tuple[Labels, bool]:
    """Tie what a product ties; return the labels of its result over the space of all axes, and if there are pairs."""
    out, count = counts
    roots = recording.partition.roots
    one, other = (squeezed(roots(factor.spread(factor.carrier.labels, count))) for factor in factors)
    both = set(factors[0].places) & set(factors[1].places)
    heads = [axis for axis in range(out) if axis in both and max(one.shape[axis], other.shape[axis]) > 1]
    if heads:
        rest = tuple(axis for axis in range(count) if axis not in heads)
        one, other = tied_over(recording, one, rest), tied_over(recording, other, rest)
        recording.partition.tie(*np.broadcast_arrays(one, other))
        recording.heads += [one.ravel(), other.ravel()]
        bearing = one if factors[0].carrier.bears else other
        return np.array(roots(np.broadcast_to(bearing, np.broadcast_shapes(one.shape, other.shape)))), False
    summed = tuple(range(out, count))
    one, other = (_apart(recording, labels, out, summed) for labels in (one, other))
    led = (labels for labels in (one, other) if any(length > 1 for length in labels.shape[: out - 2]))
    recording.heads += [labels.ravel() for labels in led]  # heads that one factor serves all, as in multi-query
    found = _free(recording, operation, (one, other), factors, out)
    long = [any(labels.shape[axis] > 1 for axis in summed) for labels in (one, other)]
    pairs = all(long) and all(factor.carrier.bears for factor in factors) and not scaled
    if pairs:
        recording.partition.tie(*np.broadcast_arrays(one, other))
    else:
        reason = f"{operation.name} {SCALED if all(long) and scaled else MIXES}"
        if alone := [labels for labels, is_long in zip((one, other), long, strict=True) if is_long]:
            recording.mix(operation, reason, alone, found)
    return found, pairs


def _apart(recording: Recording, labels: Labels, out: int, summed: tuple[int, ...]) -> Labels:
    """Return the labels of a factor that vary along axes of the result, or along summed ones, and not along both."""
    varies = any(length > 1 for length in labels.shape[:out])
    return tied_over(recording, labels, summed) if varies else labels


def _free(
    recording: Recording,
    operation: Operation,
    labels: tuple[Labels, Labels],
    factors: tuple[Factor, Factor],
    out: int,
) -> Labels:
    """Return the labels of the result: those of the one factor that has channels along a free axis."""
    found = [part for part in labels if any(length > 1 for length in part.shape[:out])]
    if len(found) == 2:  # heads of one factor, for all of which the other serves: the other stays whole
        led = [any(length > 1 for length in part.shape[: out - 2]) for part in labels]
        if sum(bearing := [factor.carrier.bears for factor in factors]) == 1:  # no layer makes the other
            led = bearing
        kept = [part for part, first in zip(labels, led, strict=True) if first]
        dropped = [part for part, first in zip(labels, led, strict=True) if not first]
        if len(kept) == 1:
            recording.mix(operation, f"{operation.name} {MIXES}", dropped, kept[0])
            return kept[0]
    if len(found) == 1:
        return found[0]
    single = recording.unmade_labels(operation.place, 1).reshape((1,) * labels[0].ndim)
    if found:
        recording.mix(operation, f"{operation.name} {MIXES}", found, single)
    return single
