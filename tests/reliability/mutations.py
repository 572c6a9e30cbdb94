"""Cases drawn from whole files: bits flipped, pieces cut, doubled and put in, values of JSON replaced."""

import copy
import json
import random
from contextlib import suppress
from typing import Any

WEIRD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 1e308, -1e308, 1e-320, float("nan"),
    float("inf"), "", "x", "\x00", "../../etc", "a" * 5000, "\u0663", "1e5", "NaN", [], {}, [[]], [None], {"a": None},
    {"": {}}, "\ud800", "\u202e", "digits", "=1+1", "<b>", [1e999] * 3, "tcp://127.0.0.1:1", "os.system", "%999999d",
]  # fmt: skip
PIECES = [
    b"\n", b"\r\n", b"\0", b"NaN", b"Infinity", b"1e999", b'"', b"{", b"}", b"[", b"[" * 3000, b",", b"\xff\xfe",
    b"\xc3", b"null", b"9" * 400, b"-0", b"PAR1", b"\xff" * 8, b"\x00" * 64, b":", b"\\u0000", b"\xed\xa0\x80",
]  # fmt: skip


class Mutations:
    """Draws cases from whole files."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)

    def of(self, seeds: tuple[bytes, ...]) -> bytes:
        """Return a case."""
        content = self._draw.choice(seeds)
        if content[:1] in (b"{", b"[") and self._draw.random() < 0.7:
            with suppress(ValueError, RecursionError):
                value = json.loads(content)
                for _ in range(self._draw.choice([1, 1, 1, 2, 4])):
                    value = self._value(value, 0)
                return json.dumps(value).encode(errors="replace")
        return self._bytes(content)

    def _value(self, value: Any, depth: int) -> Any:
        draw = self._draw
        if draw.random() < 0.08 or depth > 8 or not isinstance(value, dict | list) or not value:
            return copy.deepcopy(draw.choice(WEIRD))
        if isinstance(value, dict):
            return self._object(dict(value), depth)
        value, at, kind = list(value), draw.randrange(len(value)), draw.random()
        if kind < 0.2:
            del value[at]
        elif kind < 0.3:
            value = value * draw.choice([2, 20])
        elif kind < 0.4:
            value.insert(at, draw.choice(WEIRD))
        else:
            value[at] = self._value(value[at], depth + 1)
        return value

    def _object(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        draw = self._draw
        key, other, kind = draw.choice(list(value)), draw.choice(list(value)), draw.random()
        if kind < 0.15:
            del value[key]
        elif kind < 0.25:
            value[draw.choice(["zz", "__class__", "", f"{key}x", "kind", "name"])] = draw.choice(WEIRD)
        elif kind < 0.3:
            value[key], value[other] = value[other], value[key]
        else:
            value[key] = self._value(value[key], depth + 1)
        return value

    def _bytes(self, content: bytes) -> bytes:
        draw, found = self._draw, bytearray(content)
        for _ in range(draw.choice([1, 1, 2, 5, 20])):
            kind, at = draw.random(), draw.randrange(len(found) + 1)
            if kind < 0.35 and found:
                found[min(at, len(found) - 1)] ^= 1 << draw.randrange(8)
            elif kind < 0.5:
                del found[at : at + draw.choice([1, 3, 100])]
            elif kind < 0.6:
                del found[at:]
            elif kind < 0.75:
                found[at:at] = draw.choice(PIECES)
            elif kind < 0.85 and found:
                start = draw.randrange(len(found))
                found[at:at] = found[start : start + draw.choice([4, 50])]
            elif found:
                found[min(at, len(found) - 1)] = draw.randrange(256)
        return bytes(found)
