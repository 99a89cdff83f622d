"""What differs between two bundles, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.bundle.manifest import Manifest


def differences(one: Manifest, other: Manifest) -> list[str]:
    """Return one line for each differing field; none for equal manifests."""
    return list(_differences("", _by_name(one), _by_name(other)))


def _by_name(manifest: Manifest) -> dict[str, Any]:
    """Return the manifest's data with members by name, so that their order does not matter."""
    data = manifest.model_dump(mode="json", by_alias=True)
    data["members"] = {m["name"]: m for m in data["members"]}
    return data


def _differences(where: str, one: Any, other: Any) -> Iterator[str]:
    if one == other:
        return
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            inner = f"{where}.{key}" if where else key
            if key not in other:
                yield f"- {inner}: {_short(one[key])}"
            elif key not in one:
                yield f"+ {inner}: {_short(other[key])}"
            else:
                yield from _differences(inner, one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _differences(f"{where}.{index}", a, b)
    else:
        yield f"  {where}: {_short(one)} -> {_short(other)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
