"""Folders of pictures decoded once, and again when a file in them changes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from train.data.image_folder import Tree, read_ckplus48, read_tree
from train.data.reports import Problems

if TYPE_CHECKING:
    from pathlib import Path


def read_kept(root: Path, cache: Path) -> Tree:
    """Read a folder of class-named folders, CK+48 with its subjects, by way of the cache.

    The cache is named after path, size and time of every file, so any change decodes again.
    """
    read = read_ckplus48 if (root / "CK+48").is_dir() or root.name == "CK+48" else read_tree
    kept = cache / f"folder-{_stamp(root)}.npz"
    if not kept.exists():
        tree = read(root)
        cache.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part.npz")
        np.savez(
            part,
            crops=tree.crops,
            labels=tree.labels,
            names=np.array(tree.names, np.str_),
            subjects=np.array(tree.subjects, np.str_),
            problems=np.array(tree.problems.lines, np.str_),
        )
        part.replace(kept)
        return tree
    with np.load(kept) as arrays:
        return Tree(
            crops=arrays["crops"],
            labels=arrays["labels"],
            names=tuple(str(name) for name in arrays["names"]),
            subjects=tuple(str(name) for name in arrays["subjects"]),
            problems=Problems(tuple(str(line) for line in arrays["problems"])),
        )


def _stamp(root: Path) -> str:
    told = hashlib.sha256(str(root.resolve()).encode())
    for path in sorted(root.rglob("*")):
        stat = path.stat()
        told.update(f"{path.relative_to(root)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return told.hexdigest()[:12]
