"""No module imports itself by way of others, imports for the type checker alone included."""

from __future__ import annotations

import graphlib

import grimp

PACKAGES = ("emoshift", "edge", "train", "convert", "benchmarks", "dashboard")


def test_no_cycles() -> None:
    """Modules can be read in an order in which each rests on what was read before."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    order = graphlib.TopologicalSorter(
        {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    )
    order.prepare()
