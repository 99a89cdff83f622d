"""What is read of the machine, from files laid out as on the real ones."""

from __future__ import annotations

import pytest

from benchmarks.host import has_throttled, how_measured, memory_now, read_device, read_state
from benchmarks.reports.schema import MachineCondition

PI_WORD = "sys/devices/platform/soc/soc:firmware/get_throttled"


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def state(throttled=None, events=None):
    return MachineCondition(
        frequency_mhz=None, temperature_c=None, throttled=throttled, throttle_events=events, load=0
    )


def test_a_raspberry_pi(tmp_path):
    """Board, frequency, temperature and the firmware's word are found where the Pi has them."""
    write(
        tmp_path,
        {
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.5\0",
            "proc/meminfo": "MemTotal:        3884936 kB\n",
            "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "600000\n",
            "sys/class/thermal/thermal_zone0/temp": "61300\n",
            PI_WORD: "50000\n",
        },
    )
    device, now = read_device(tmp_path), read_state(tmp_path)
    assert device.name == "Raspberry Pi 4 Model B Rev 1.5"
    assert device.key.startswith("raspberry-pi-4-model-b-rev-1-5-")
    assert (device.frequency_mhz, device.memory_mb) == (1800, 3978)
    assert (now.frequency_mhz, now.temperature_c, now.throttled) == (600, 61.3, 0x50000)


def test_a_machine_that_tells_nothing(tmp_path):
    """What cannot be read is None, not a guess."""
    now = read_state(tmp_path)
    assert (now.frequency_mhz, now.temperature_c, now.throttled) == (None, None, None)
    assert read_device(tmp_path).name == "unknown"


@pytest.mark.parametrize(
    ("before", "after", "throttled"),
    [
        pytest.param(state(0), state(0), False, id="never"),
        pytest.param(state(0x50000), state(0x50000), False, id="only before the run"),
        pytest.param(state(0), state(0x40000), True, id="during the run"),
        pytest.param(state(0x40000), state(0x40004), True, id="right now"),
        pytest.param(state(0x10000), state(0x50000), True, id="in another way than before"),
        pytest.param(state(events=3), state(events=3), False, id="PC, no event"),
        pytest.param(state(events=3), state(events=4), True, id="PC, an event"),
        pytest.param(state(), state(), False, id="nothing reported"),
    ],
)
def test_throttling(before, after, throttled):
    """Only what happened during the run counts."""
    assert has_throttled(before, after) is throttled


def test_memory_of_this_process():
    """Proportional size never exceeds the resident one."""
    rss_mb, pss_mb = memory_now()
    assert rss_mb > 10
    assert pss_mb is None or 0 < pss_mb <= rss_mb * 1.05


def test_emulation_is_reported(monkeypatch):
    """Under QEMU's user mode a report says so."""
    monkeypatch.delenv("QEMU_CPU", raising=False)
    assert how_measured() == "measured"
    monkeypatch.setenv("QEMU_CPU", "cortex-a72")
    assert how_measured() == "emulated"
