"""``edge doctor``: checks what the service will see, and says or runs what cures each fault."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge import __version__
from edge.commands.service import USER
from edge.doctor.broker import examine_broker
from edge.doctor.finding import SAFE_CURES, Cure, Finding
from edge.doctor.hardware import examine_hardware
from edge.doctor.report import Check, DoctorReport, Fix, ReportedCure
from edge.doctor.service_view import (
    environment_of,
    lent_credentials,
    read_service_view,
    service_account,
)
from edge.doctor.services import examine_services
from edge.doctor.software import examine_software
from emoshift.errors import UnavailableError
from emoshift.logs import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from edge.config import Config

_FIX_S: Final = 600.0


def examine(config: Config, *, camera_given: bool = False) -> Iterator[Finding]:
    """Check everything the daemon will need, cheapest first; nothing is changed.

    Args:
        config: The whole configuration.
        camera_given: Whether the camera is another one than the configured one.
    """
    yield from examine_software(config)
    yield from examine_hardware(config, camera_given=camera_given)
    yield examine_broker(config)
    yield from examine_services()


def examine_as_service(options: Sequence[str], config_path: Path | None) -> Iterator[Finding]:
    """Check the same as the service's user, with the service's Python, environment and credentials.

    Args:
        options: The options of ``edge doctor`` that say what to check.
        config_path: The configuration file, which the service must be able to read.

    Raises:
        UsageError: Not root.
        UnavailableError: There is no such user, or its Python cannot run.
    """
    account, view = service_account(), read_service_view()
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    with lent_credentials(view, uid=account.pw_uid, gid=account.pw_gid) as credentials:
        try:
            process = subprocess.Popen(
                [view.program, "-m", "edge", "doctor", "--as-this-user", "--findings", *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd="/",
                env=environment_of(view, account, credentials),
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=groups,
            )
        except OSError as why:
            raise UnavailableError(
                f"{view.program}: {USER} cannot run it: {why.strerror}; the units name it"
            ) from why
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            found = 0
            for line in process.stdout:
                found += 1
                yield from_json_line(line)
            said = process.stderr.read().strip()
    if not found or process.returncode not in {0, 1}:
        yield _unreadable(config_path, said or f"ended with {process.returncode}")


def _unreadable(config_path: Path | None, said: str) -> Finding:
    """The configuration is good for root, and cannot be read by the service."""
    cures: tuple[Cure, ...] = ()
    if config_path is not None:
        cures = (
            Cure(command=("chown", f"root:{USER}", str(config_path)), safe=True),
            Cure(command=("chmod", "0640", str(config_path)), safe=True),
        )
    detail = f"{USER} cannot read the configuration: {said.splitlines()[-1].strip()}"
    return Finding(what="configuration", good=False, detail=detail, cures=cures)


def to_json_line(finding: Finding) -> str:
    """Write a finding for the doctor that runs this one as the service's user."""
    cures = [[list(cure.command), cure.safe, cure.root] for cure in finding.cures]
    return json.dumps([finding.what, finding.good, finding.detail, cures])


def from_json_line(line: str) -> Finding:
    """Read a finding of the doctor that runs as the service's user, and trust it with nothing.

    Root shows its commands, and runs those alone that are known here.
    """
    what, good, detail, cures = json.loads(line)
    read = []
    for command, safe, root in cures:
        cure = Cure(command=tuple(command), safe=safe, root=root)
        read.append(cure if cure in SAFE_CURES else replace(cure, safe=False))
    return Finding(
        what=printable(what), good=bool(good), detail=printable(detail), cures=tuple(read)
    )


def fix(
    findings: Iterable[Finding], before: Sequence[Fix], log: Callable[[str], None]
) -> list[Fix]:
    """Run the safe cures of whatever is wrong; each command once.

    Args:
        findings: What was found.
        before: What has been run already, and is not run again.
        log: Gets one line for each command.
    """
    known = {one.command for one in before}
    done: list[Fix] = []
    for finding in findings:
        if finding.good:
            continue
        for cure in finding.cures:
            if not cure.safe or str(cure) in known:
                continue
            known.add(str(cure))
            log(f"fix   {finding.what:<12} {cure}")
            done.append(_run(cure))
            if done[-1].detail:
                log(f"      {'':<12} {done[-1].detail}")
    return done


def _run(cure: Cure) -> Fix:
    if cure.root and os.geteuid() != 0:
        return Fix(command=str(cure), good=False, detail="needs root; run: sudo edge doctor --fix")
    try:
        ended = subprocess.run(
            cure.argv(), capture_output=True, text=True, timeout=_FIX_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as why:
        return Fix(command=str(cure), good=False, detail=str(why))
    said = (ended.stderr or ended.stdout).strip().splitlines()
    return Fix(command=str(cure), good=ended.returncode == 0, detail=said[-1] if said else "")


def lines_of(finding: Finding) -> list[str]:
    """Write a finding for a terminal: what was found, and below it the commands that cure it."""
    mark = "ok  " if finding.good else "FAIL"
    return [
        f"{mark}  {finding.what:<12} {finding.detail}",
        *(
            []
            if finding.good
            else [f"      {'':<12} cure: {printable(str(cure))}" for cure in finding.cures]
        ),
    ]


def report_of(
    findings: Sequence[Finding], *, as_service: bool, fixes: Sequence[Fix] = ()
) -> DoctorReport:
    """Write all findings as one report."""
    return DoctorReport(
        software=__version__,
        user=USER if as_service else getpass.getuser(),
        good=all(finding.good for finding in findings),
        checks=tuple(
            Check(
                check=finding.what,
                good=finding.good,
                detail=finding.detail,
                cures=()
                if finding.good
                else tuple(ReportedCure(command=str(c), safe=c.safe) for c in finding.cures),
            )
            for finding in findings
        ),
        fixes=tuple(fixes),
    )


def examine_all(
    config: Config,
    options: Sequence[str],
    config_path: Path | None,
    *,
    as_service: bool,
    camera_given: bool,
    on_finding: Callable[[Finding], None],
) -> list[Finding]:
    """Check everything, either way, and give each finding out as it is made."""
    found = (
        examine_as_service(options, config_path)
        if as_service
        else examine(config, camera_given=camera_given)
    )
    findings = []
    for finding in found:
        one_line = replace(finding, detail=" ".join(finding.detail.split()))
        on_finding(one_line)
        findings.append(one_line)
    return findings
