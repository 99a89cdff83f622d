"""The documentation site names every page, and its API pages name modules that exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_page_is_in_the_navigation() -> None:
    """A page that is not would be found by searching alone."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = set(re.findall(r"[\w./-]+\.md", navigation))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert named <= pages
    # A decision's page is found from what rests on it.
    assert {page for page in pages - named if not page.startswith("adr/")} == set()


def test_the_api_pages_document_what_exists() -> None:
    """Each is a module, or a name in one."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    found = re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE)
    assert found
    for name in found:
        module, _, last = name.rpartition(".")
        spec = importlib.util.find_spec(module if last[:1].isupper() else name)
        assert spec is not None, name
        assert spec.origin is not None
        if last[:1].isupper():
            assert f"class {last}" in Path(spec.origin).read_text(encoding="utf-8")
