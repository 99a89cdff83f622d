"""One simulated device: a class of faces that change, and a device that publishes them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from emoshift.emotions import EMOTIONS, STATES, UNKNOWN
from emoshift.messages import MODELS, Age, Percentiles, Presence, States
from emoshift.topics import Address, Kind

# How likely a face turns to each emotion, whatever it was: mostly calm, often amused.
_LEANING: Final = {
    "angry": 0.03,
    "disgust": 0.02,
    "fear": 0.02,
    "happy": 0.3,
    "sad": 0.08,
    "surprise": 0.1,
    "neutral": 0.45,
}
_STAGES: Final = {"capture": 4.0, "faces": 19.0, "features": 5.0, "models": 12.0, "total": 43.0}
MODEL: Final = "simulated-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message to publish."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperament:
    """What is wrong with a device, if anything.

    Attributes:
        fps: Frames a second it reaches.
        slow: Factor on its latencies.
        temperature_c: Of its processor.
        level: Degradation level.
        outbox: Events it has not got rid of.
        drift: How far its pictures are from the training's.
        camera_state: ``streaming``, ``waiting`` or ``lost``.
        isolation: What keeps its camera process off the network.
    """

    fps: float = 14.0
    slow: float = 1.0
    temperature_c: float = 58.0
    level: int = 0
    outbox: int = 0
    drift: float = 0.9
    camera_state: str = "streaming"
    isolation: str = "namespace"


_TEMPERAMENTS: Final = (
    *(Temperament(fps=12.0 + i / 2, temperature_c=54.0 + i) for i in range(8)),
    Temperament(fps=7.5, slow=2.2, temperature_c=82.5, level=2),
    Temperament(drift=3.1),
    Temperament(fps=0.0, camera_state="lost", outbox=4),
    Temperament(isolation="none"),
)


class Classroom:
    """A seeded class: the same seed publishes the same events."""

    def __init__(self, address: Address, *, seed: int, faces: int = 24) -> None:
        self.address = address
        self._random = random.Random(f"{seed}/{address}")
        self.boot_id = f"{self._random.getrandbits(128):032x}"
        self.instance = f"{self._random.getrandbits(48):012x}"
        self.temperament = _TEMPERAMENTS[0] if seed < 0 else self._random.choice(_TEMPERAMENTS)
        self._seq = 0
        self._frames = 0
        self._states = [self._emotion(UNKNOWN) for _ in range(faces)]
        self._tracks = [self._track() for _ in range(faces)]
        self._since_ms = [0] * faces

    @property
    def faces(self) -> int:
        """How many faces the camera sees."""
        return len(self._states)

    @property
    def sees(self) -> bool:
        """Whether its camera works."""
        return self.temperament.camera_state != "lost"

    def _track(self) -> str:
        return f"{self._random.getrandbits(48):012x}"

    def _emotion(self, before: str) -> str:
        names = [name for name in EMOTIONS if name != before]
        return self._random.choices(names, [_LEANING[name] for name in names])[0]

    def change(self, now_ms: int) -> Outgoing:
        """Let one face change now."""
        face = self._random.randrange(len(self._states))
        before = self._states[face]
        if self._random.random() < 0.02:  # somebody leaves, somebody else comes
            before, self._tracks[face] = UNKNOWN, self._track()
        after = self._emotion(before)
        onset_ms = now_ms - self._random.randint(250, 900)
        dwell_s = round(max(0, onset_ms - self._since_ms[face]) / 1000, 2)
        self._states[face], self._since_ms[face] = after, onset_ms
        self._seq += 1
        return self._message(
            Kind.TRANSITION,
            qos=1,
            retain=False,
            event_id=f"{self.boot_id}:{self._seq}",
            boot_id=self.boot_id,
            seq=self._seq,
            device=self.address.device,
            camera="camera",
            track=self._tracks[face],
            before=before,
            after=after,
            confidence=round(self._random.uniform(0.6, 0.99), 3),
            onset=_date(onset_ms),
            decided=_date(now_ms),
            dwell_s=min(dwell_s, 900.0),
            latency_ms=round(_STAGES["total"] * self.temperament.slow),
            clock_synced=True,
            historical=False,
            degraded=self.temperament.level > 0,
            model=MODEL,
        )

    def summary(self, now_ms: int, *, min_faces: int = 5) -> Outgoing:
        """Count the class."""
        counts = {name: self._states.count(name) for name in STATES}
        shown = self.sees and len(self._states) >= min_faces
        return self._message(
            Kind.CLASS,
            qos=1,
            retain=True,
            device=self.address.device,
            camera="camera",
            at=_date(now_ms),
            suppressed=not shown,
            faces=len(self._states) if shown else None,
            states=States(**counts) if shown else None,
        )

    def health(self, now_ms: int) -> Outgoing:
        """Return the health message."""
        temper, noise = self.temperament, self._random
        self._frames += round(temper.fps * 30)
        stages = {}
        for name, typical in _STAGES.items():
            p50 = typical * temper.slow * noise.uniform(0.9, 1.1)
            stages[name] = Percentiles(
                p50_ms=p50,
                p95_ms=p50 * noise.uniform(1.3, 1.6),
                p99_ms=p50 * noise.uniform(1.8, 2.2),
                count=self._frames,
                sum_ms=1.1 * p50 * self._frames,
            )
        return self._message(
            Kind.HEALTH,
            qos=0,
            retain=True,
            device=self.address.device,
            camera="camera",
            at=_date(now_ms),
            camera_state=temper.camera_state,
            fps=round(max(0.0, temper.fps + noise.uniform(-0.4, 0.4)), 2) if temper.fps else 0.0,
            frames=self._frames,
            dropped_frames=self._frames // 50,
            faces=len(self._states) if self.sees else 0,
            stages=stages,
            outbox_depth=temper.outbox,
            outbox_dropped=0,
            outbox_state="ready",
            level=temper.level,
            temperature_c=round(temper.temperature_c + noise.uniform(-1, 1), 1),
            throttled=temper.temperature_c > 80,
            drift=(drift := round(temper.drift * noise.uniform(0.9, 1.1), 3)),
            drift_blendshapes=drift,
            drift_confidence=round(0.6 * drift, 3),
            abstained=round(noise.uniform(0.05, 0.15), 3),
            faces_too_small=0,
            landmarks_age_s=Age(p50=0.1, p95=0.5),
        )

    def info(self, *, min_faces: int = 5) -> Outgoing:
        """Return the info message."""
        return self._message(
            Kind.INFO,
            qos=1,
            retain=True,
            device=self.address.device,
            camera="camera",
            software="simulated",
            model=MODEL,
            isolation=self.temperament.isolation,
            min_faces=min_faces,
            face_finder="simulated",
            face_finder_reason="",
        )

    def status(self, state: str, *, session: int = 1) -> Outgoing:
        """Return the status message."""
        return self._message(
            Kind.STATUS,
            qos=1,
            retain=True,
            device=self.address.device,
            state=Presence(state),
            session=session,
            instance=self.instance,
            run=self.instance[::-1],
            protocol="5",
        )

    def _message(self, kind: Kind, *, qos: int, retain: bool, **content: Any) -> Outgoing:
        return Outgoing(
            topic=self.address.topic(kind),
            payload=MODELS[kind](**content).to_json().encode(),
            qos=qos,
            retain=retain,
        )


def make_school(devices: int, *, seed: int, rooms_per_site: int = 12) -> list[Classroom]:
    """Make classrooms, a dozen to a site, the same for the same seed."""
    return [
        Classroom(
            Address(f"school-{1 + i // rooms_per_site}", f"room-{101 + i % rooms_per_site}"),
            seed=seed,
            faces=(24, 27, 19, 22, 3, 25)[i % 6] if devices < 100 else 24,
        )
        for i in range(devices)
    ]


def _date(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
