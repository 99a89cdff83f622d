"""The command line: what is said, and with which exit code."""

from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from dashboard.cli import installed_settings, main
from dashboard.store.database import open_store
from dashboard.store.migrations import STEPS
from emoshift.local_broker import free_port


def run(*arguments: str, typed: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(arguments), input=typed)
    return done.exit_code, done.output


def commands(group=main, before=()):
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, (*before, name))
        else:
            yield (*before, name)


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_command_has_an_example(command):
    """Help ends with a command that can be copied."""
    code, said = run(*command, "--help")
    assert code == 0
    _, _, example = said.partition("Example:\n")
    assert f"edge-dashboard {' '.join(command)}" in example


def test_accounts(sqlite):
    """Accounts are made, listed and removed; a short password is refused."""
    here = ("--database", sqlite)
    typed = "a long password\n"
    added = ("users", "add", "anna", "--role", "admin", "--password-stdin", *here)
    assert run(*added, typed=typed) == (0, "anna: admin\n")
    assert run("users", "list", *here) == (0, "anna\tadmin\tall classes\n")
    assert run("users", "remove", "anna", *here) == (0, "anna: removed\n")
    assert run("users", "remove", "anna", *here)[0] == 2
    code, said = run("users", "add", "ben", "--password-stdin", *here, typed="short\n")
    assert (code, "at least 10" in said) == (2, True)


def test_groups(sqlite):
    """Groups of classes are made, listed and removed."""
    here = ("--database", sqlite)
    made = run("groups", "set", "year-7", "school/room-1", "school/room-2", *here)
    assert made == (0, "group year-7: school/room-1 school/room-2\n")
    assert run("groups", "list", *here) == (0, "year-7\tschool/room-1 school/room-2\n")
    assert run("groups", "set", "year-7", *here) == (0, "group year-7: removed\n")
    assert run("groups", "list", *here) == (0, "")


def test_a_command_takes_no_option_that_it_does_not_use(sqlite):
    """Whoever manages accounts names no broker, neither as it is called now nor as before."""
    for option in ("--broker", "--mqtt-host"):
        code, said = run("users", "list", "--database", sqlite, option, "somewhere")
        assert (code, "No such option" in said) == (2, True)


@pytest.mark.parametrize(
    "broker",
    [
        pytest.param(("--broker", "127.0.0.1:{}"), id="now"),
        pytest.param(("--mqtt-host", "127.0.0.1", "--mqtt-port", "{}"), id="before"),
    ],
)
def test_the_broker_is_named_as_on_the_device(broker):
    """One option for name and port; the two of earlier versions go on working."""
    port = str(free_port())
    code, said = run("simulate", *(word.format(port) for word in broker), "--events", "1")
    assert (code, f"127.0.0.1:{port}" in said) == (69, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(("serve",), 2, "users add", id="nobody may sign in"),
        pytest.param(
            ("migrate", "--config", "/nowhere.toml"), 78, "no such file", id="no settings"
        ),
        pytest.param(("worker", "--mqtt-port", "0"), 78, "broker.port", id="no port"),
    ],
)
def test_errors_are_one_line(sqlite, arguments, code, said):
    """What is wrong is said in a line, with what to do."""
    found = run(*arguments, "--database", sqlite)
    assert found[0] == code
    assert found[1].startswith("Error: ")
    assert said in found[1]


def test_unknown_keys(tmp_path, sqlite):
    """A settings file with a mistake is refused, every mistake at once."""
    path = tmp_path / "dashboard.toml"
    path.write_text("[web]\nmin_faces = 1\nhots = 3\n[broker]\nport = 'x'\n", encoding="utf-8")
    code, said = run("migrate", "--config", str(path), "--database", sqlite)
    assert code == 78
    assert "3 problems" in said
    assert "unknown key web.hots" in said


def test_migrate(sqlite):
    """Migrating says from where to where."""
    assert run("migrate", "--database", sqlite) == (0, f"version 0 -> {len(STEPS)}\n")
    assert run("migrate", "--database", sqlite) == (0, f"version {len(STEPS)} -> {len(STEPS)}\n")


def test_plain_http(tmp_path, sqlite):
    """Other machines are served without TLS only when that is asked for in so many words."""
    path = tmp_path / "dashboard.toml"

    def said(text: str) -> str:
        path.write_text(text, encoding="utf-8")
        return run("migrate", "--config", str(path), "--database", sqlite)[1]

    assert "allow_plain_http" in said('[web]\nhost = "0.0.0.0"\n')
    assert "version" in said('[web]\nhost = "0.0.0.0"\nallow_plain_http = true\n')
    assert "version" in said('[web]\nhost = "0.0.0.0"\ntrusted_proxies = ["192.0.2.1"]\n')
    assert "expected an address" in said('[web]\ntrusted_proxies = ["*"]\n')
    for here in ("127.0.0.1", "::1", "localhost"):
        assert "version" in said(f'[web]\nhost = "{here}"\n')


def test_the_installed_dashboard_is_meant(tmp_path):
    """Without --config a command works on what is installed, and says where it may not."""
    assert installed_settings(tmp_path / "dashboard.toml") is None
    (tmp_path / "dashboard.toml").touch()
    assert installed_settings(tmp_path / "dashboard.toml") == tmp_path / "dashboard.toml"


def test_nobody_to_ask_for_a_password(sqlite):
    """A script is told of the option; a password is never waited for where none can come."""
    code, said = run("users", "add", "anna", "--database", sqlite)
    assert (code, "--password-stdin" in said, said.count("\n")) == (2, True, 1)


def test_a_port_that_is_taken(sqlite):
    """It is an error in a line, not one of a library after the word that it listens."""
    run("users", "add", "anna", "--password-stdin", "--database", sqlite, typed="a long password\n")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, said = run("serve", "--no-worker", "--port", port, "--database", sqlite)
    assert code == 69
    assert f"port {port}: Address already in use; give another one: --port" in said


def test_a_database_that_cannot_be_opened(tmp_path):
    """The file is named as it was given, with what to look at."""
    code, said = run("users", "list", "--database", str(tmp_path / "none" / "d.db"))
    assert code == 73
    assert said.startswith(f"Error: {tmp_path}/none/d.db: cannot be opened: ")
    assert "its folder" in said


@pytest.mark.parametrize(
    "command",
    [("users", "list"), ("devices", "list"), ("audit",), ("dead-letters", "list"), ("marks",)],
    ids=" ".join,
)
def test_a_database_that_lacks_a_table(sqlite, command):
    """A damaged database is named in one line, whichever command meets it."""
    engine = open_store(sqlite)
    with engine.begin() as connection:
        for table in ("mark", "annotation", "session", "known_browser", "access", "account"):
            connection.execute(text(f"DROP TABLE {table}"))
        for table in ("enrolment", "audit", "dead_letter"):
            connection.execute(text(f"DROP TABLE {table}"))
    engine.dispose()
    code, said = run(*command, "--database", sqlite)
    assert code == 73
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said
