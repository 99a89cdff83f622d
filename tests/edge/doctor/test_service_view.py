"""What the doctor takes from the units: program, variables, credentials, drop-ins."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from edge.commands.service import install_service
from edge.doctor.service_view import lent_credentials, read_service_view

if TYPE_CHECKING:
    from pathlib import Path

DROPIN = """
[Service]
Environment=ONE=1 "TWO=with a space"
EnvironmentFile=-/etc/default/emoshift
LoadCredential=
LoadCredential=mqtt:/srv/secrets
[Unit]
Environment=NOT=this
"""


def test_the_shipped_units(tmp_path: Path) -> None:
    """The units as they are installed name their Python and the credentials' folder."""
    install_service(lambda _: None, root=tmp_path)
    view = read_service_view(tmp_path)
    assert os.access(view.program, os.X_OK)
    assert view.environment["EMOSHIFT_PRIVATE_NETWORK"] == "1"
    assert view.credentials == {"mqtt": tmp_path / "etc/emoshift/credentials"}


def test_what_lies_over_them(tmp_path: Path) -> None:
    """A drop-in adds variables, files of variables, and replaces credentials."""
    install_service(lambda _: None, root=tmp_path)
    folder = tmp_path / "etc/systemd/system/emoshift-publish.service.d"
    folder.mkdir()
    (folder / "override.conf").write_text(DROPIN)
    (tmp_path / "etc/default").mkdir()
    (tmp_path / "etc/default/emoshift").write_text("# broker\nTHREE='3 4'\n")
    view = read_service_view(tmp_path)
    wanted = {"ONE": "1", "TWO": "with a space", "THREE": "3 4"}
    assert wanted.items() <= view.environment.items()
    assert "NOT" not in view.environment
    assert view.credentials == {"mqtt": tmp_path / "srv/secrets"}


def test_credentials_are_lent_and_taken_back(tmp_path: Path) -> None:
    """Each file is there under the name the service knows, for its user alone, and then gone."""
    install_service(lambda _: None, root=tmp_path)
    folder = tmp_path / "etc/emoshift/credentials"
    folder.mkdir()
    (folder / "password").write_text("secret\n")
    view = read_service_view(tmp_path)
    with lent_credentials(view, uid=os.getuid(), gid=os.getgid()) as lent:
        file = lent / "mqtt_password"
        assert file.read_text() == "secret\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o400
        assert stat.S_IMODE(lent.stat().st_mode) == 0o500
    assert not lent.exists()
