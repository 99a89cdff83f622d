"""Man pages and shell completion, as the packages carry them."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dashboard.cli import main as edge_dashboard
from edge.cli import main as edge
from tests.references import ROOT, commands

PROGRAMS = {"edge": edge, "edge-dashboard": edge_dashboard}
PAGES = [
    (full, command) for name, root in PROGRAMS.items() for full, command, _ in commands(root, name)
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of both programs, as the build scripts put them into their packages."""
    folder = tmp_path_factory.mktemp("tree")
    sys.path.insert(0, str(ROOT / "packaging"))
    try:
        from command_files import write_command_files
    finally:
        sys.path.pop(0)
    for name, program in PROGRAMS.items():
        write_command_files(folder, name, program, "1.2.3")
    return folder


def page(tree: Path, name: str) -> str:
    path = tree / "usr/share/man/man1" / f"{name.replace(' ', '-')}.1.gz"
    return gzip.decompress(path.read_bytes()).decode()


@pytest.mark.parametrize(("name", "command"), PAGES, ids=[full for full, _ in PAGES])
def test_every_command_has_a_page_with_all_it_takes(tree, name, command):
    """Name, options and examples stand in it, as `--help` tells them."""
    text = page(tree, name).replace("\\-", "-")
    assert f".SH SYNOPSIS\n\\fB{name}\\fR" in text
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert all(one in text for one in option.opts), option.name
    assert "\b" not in text
    assert ".SH EXAMPLES\n.nf\n" in text or isinstance(command, click.Group)


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff (apt install groff)")
def test_pages_are_well_formed(tree):
    """The formatter has nothing to warn of."""
    pages = sorted((tree / "usr/share/man/man1").iterdir())
    text = b"".join(gzip.decompress(one.read_bytes()) for one in pages)
    command = ["groff", "-man", "-ww", "-z", "-Tutf8"]
    done = subprocess.run(command, input=text, capture_output=True, check=True)
    assert done.stderr == b""
    assert len(pages) == len(PAGES)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        pytest.param(["edge", "out"], ["outbox"], id="command"),
        pytest.param(["edge", "models", ""], ["install", "list", "rollback"], id="subcommand"),
        pytest.param(["edge", "subscribe", "--st"], ["--state"], id="option"),
        pytest.param(
            ["edge-dashboard", "users", "add", "--role", ""], ["viewer", "admin"], id="value"
        ),
        pytest.param(["edge-dashboard", "worker", "--mq"], [], id="not the old name"),
    ],
)
def test_bash_completes(tree, words, found):
    """A person who presses Tab gets commands, options and values."""
    place = Path(sys.executable).parent
    if not (place / words[0]).exists():
        pytest.skip("needs the installed commands")
    function = f"_{words[0].replace('-', '_')}_completion"
    script = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
        f' {function} "$1"; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    completions = tree / "usr/share/bash-completion/completions" / words[0]
    done = subprocess.run(
        ["bash", "-c", script, "bash", str(completions), *words],
        capture_output=True,
        check=True,
        text=True,
        env={"PATH": f"{place}:/usr/bin:/bin"},
    )
    assert done.stdout.split() == found
    assert done.stderr == ""


def test_other_shells_have_theirs(tree):
    """Zsh and fish load theirs by its name."""
    for name in PROGRAMS:
        zsh = (tree / f"usr/share/zsh/vendor-completions/_{name}").read_text()
        assert zsh.startswith(f"#compdef {name}\n")
        fish = tree / f"usr/share/fish/vendor_completions.d/{name}.fish"
        assert f"--command {name}" in fish.read_text()
