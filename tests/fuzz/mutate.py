"""Changes to bytes and to JSON data that readers did not expect: random, repeatable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random

NUMBERS: Final = (
    0, -1, 1, 2, 7, 255, 256, 65535, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 10**30,
    0.5, -0.0, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
WORDS: Final = (
    "", "\0", "..", "../../etc/passwd", "/dev/null", "%s%n", "nan", "é" * 40, "\U0001f600",
    "\ud800", "a" * 5000, "none", "default", "2026-11-24T00:00:00Z", "0", "-1", "9" * 6000,
)  # fmt: skip


def mutate_bytes(seed: bytes, chance: random.Random, tokens: tuple[bytes, ...] = ()) -> bytes:
    """Change one to twenty places: flip, overwrite, remove, repeat, insert, cut off."""
    data = bytearray(seed)
    for _ in range(chance.choice((1, 1, 2, 4, 8, 20))):
        at = chance.randrange(len(data) + 1)
        length = chance.choice((1, 1, 2, 4, 16, 200))
        match chance.randrange(8 if tokens else 7):
            case 0 if data:
                data[min(at, len(data) - 1)] ^= 1 << chance.randrange(8)
            case 1:
                data[at : at + length] = chance.randbytes(length)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length] * chance.choice((1, 2, 50))
            case 4:
                data[at:at] = chance.randbytes(length)
            case 5:
                edge = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
                data[at : at + length] = bytes([edge]) * length
            case 6 if chance.random() < 0.2:
                del data[at:]
            case 7:
                data[at:at] = chance.choice(tokens) * chance.choice((1, 1, 1, 3000))
    return bytes(data)


def mutate_json(data: Any, chance: random.Random) -> Any:
    """Change one to eight values, keys or shapes of JSON data; the argument stays as it was."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        data = _change(data, chance)
    return data


def _change(data: Any, chance: random.Random) -> Any:
    if isinstance(data, dict) and data and chance.random() < 0.9:
        return _change_object(data, chance)
    if isinstance(data, list) and data and chance.random() < 0.9:
        return _change_list(data, chance)
    if isinstance(data, int | float) and not isinstance(data, bool) and chance.random() < 0.5:
        return data * chance.choice((-1, 0.5, 2, 1000, 1.0001))
    return _value(chance)


def _change_object(data: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    key = chance.choice(list(data))
    kept = {k: v for k, v in data.items() if k != key}
    match chance.randrange(12):
        case 0:
            return kept
        case 1:
            return {**kept, chance.choice(WORDS): data[key]}
        case 2:
            return {**data, chance.choice(WORDS): _value(chance)}
        case _:
            return {**data, key: _change(data[key], chance)}


def _change_list(data: list[Any], chance: random.Random) -> list[Any]:
    at = chance.randrange(len(data))
    match chance.randrange(12):
        case 0:
            return data[:at] + data[at + 1 :]
        case 1:
            many = 2 if isinstance(data[at], dict | list) else 300  # or it grows without end
            return data + data[at : at + 1] * chance.choice((1, 2, many))
        case 2:
            return [*data, _value(chance)]
        case _:
            return [*data[:at], _change(data[at], chance), *data[at + 1 :]]


def _value(chance: random.Random) -> Any:
    """Make up any value JSON can hold, and some it should not."""
    match chance.randrange(7):
        case 0:
            return chance.choice((None, True, False))
        case 1 | 2:
            return chance.choice(NUMBERS)
        case 3 | 4:
            return chance.choice(WORDS)
        case 5:
            return chance.choice(([], {}, [[]], {"": None}))
        case _:
            deep: Any = 0
            for _ in range(chance.choice((3, 100, 900))):
                deep = [deep]
            return deep
