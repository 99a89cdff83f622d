"""What a processor can run."""

from __future__ import annotations

import pytest

from edge.faces.select_backend import lacks_atomics, mediapipe_obstacle

PI4 = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU part\t: 0xd08\n"
PI5 = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes crc32 atomics fphp cpuid\n"
X86 = "processor\t: 0\nmodel name\t: some\nflags\t\t: fpu sse2 avx2\n"


@pytest.mark.parametrize(
    ("cpuinfo", "version", "runs"),
    [
        pytest.param(PI4, "1.2.2", False, id="Pi 4, current release"),
        pytest.param(PI4, "0.10.18", True, id="Pi 4, old release"),
        pytest.param(PI5, "1.2.2", True, id="Pi 5"),
        pytest.param(PI5 + PI4, "1.0.0", False, id="one weak core is enough"),
        pytest.param(X86, "1.2.2", True, id="x86-64"),
        pytest.param("", "1.2.2", True, id="unknown"),
    ],
)
def test_mediapipe_runs(cpuinfo: str, version: str, *, runs: bool) -> None:
    """MediaPipe from 1.0 on needs the atomics that ARMv8.0 lacks."""
    obstacle = mediapipe_obstacle(cpuinfo, version)
    assert (obstacle is None) == runs
    if obstacle:
        assert version in obstacle


def test_other_architectures_lack_nothing() -> None:
    """Only a ``Features`` line without ``atomics`` counts."""
    assert lacks_atomics(PI4)
    assert not lacks_atomics(PI5)
    assert not lacks_atomics(X86)
