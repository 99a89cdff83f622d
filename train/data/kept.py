"""Folders of pictures decoded once, and again when a file in them changes."""

from __future__ import annotations

import hashlib
import os
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
        tree.problems.warn(root)
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
        tree = Tree(
            crops=arrays["crops"],
            labels=arrays["labels"],
            names=tuple(str(name) for name in arrays["names"]),
            subjects=tuple(str(name) for name in arrays["subjects"]),
            problems=Problems(tuple(str(line) for line in arrays["problems"])),
        )
    tree.problems.warn(root)
    return tree


def _stamp(root: Path) -> str:
    told = hashlib.sha256(os.fsencode(root.resolve()))
    for path in sorted(root.rglob("*")):
        try:
            stat = path.stat()
        except OSError:  # a broken link
            stat = path.lstat()
        told.update(os.fsencode(path.relative_to(root)))
        told.update(f" {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return told.hexdigest()[:12]
