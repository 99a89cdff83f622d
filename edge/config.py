"""The configuration: one TOML file into frozen values, every problem reported at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from edge.paths import SITE_KEY, TRUSTED_KEYS
from emoshift.emotions import Emotion
from emoshift.errors import ConfigError
from emoshift.settings import (
    BrokerSettings,
    Identifier,
    Port,
    Table,
    UserPath,
    parse_settings,
    read_settings,
)

MOST_AUTO_THREADS: Final = 4
"""Networks of this size gain nothing from more threads."""


class Device(Table):
    """Who this device is, and by what right it watches.

    Attributes:
        site: Building or school; part of every topic.
        name: This device; ``auto`` derives a stable name from the machine id.
        legal_basis: The stated basis for inferring emotions here. The daemon does not start
            without one.
    """

    site: Identifier = "school"
    name: Identifier = "auto"
    legal_basis: Annotated[str, Field(max_length=500)] = ""


class Camera(Table):
    """Where frames come from.

    Attributes:
        source: A number or ``/dev/videoN`` (USB or CSI through V4L2), a file, ``rtsp://...``,
            ``gstreamer:PIPELINE`` (Jetson), or ``picamera2:N``.
        name: What the camera is called in messages.
        width, height: Picture size to ask for, pixels.
        fps: Frame rate to ask for, and the most that is processed.
        rotate: Clockwise turn of the picture, degrees.
        pixel_format: Four characters that a Video4Linux camera is asked for, such as ``MJPG`` or
            ``YUYV``; ``auto`` asks for MJPEG only where size and rate cannot be had otherwise.
    """

    source: Annotated[str, Field(min_length=1)] = "0"
    name: Identifier = "camera"
    width: Annotated[int, Field(ge=64, le=7680)] = 1280
    height: Annotated[int, Field(ge=64, le=4320)] = 720
    fps: Annotated[float, Field(gt=0, le=240)] = 30.0
    rotate: Literal[0, 90, 180, 270] = 0
    pixel_format: Annotated[
        str,
        Field(
            pattern=r"^(auto|[A-Za-z0-9]{3,4})$",
            description='"auto" or the four characters of a format',
            examples=["MJPG"],
        ),
    ] = "auto"


class Faces(Table):
    """How faces are found.

    Attributes:
        backend: ``direct`` runs everywhere, ``mediapipe`` is the reference; ``auto`` takes the
            better one this board can run.
        max_faces: Faces followed at a time; the largest come first.
        min_width_px: Smaller faces are ignored.
        forget_after_s: A face unseen for this long gets a new random name when it returns.
        ignore_still_after_s: A face that never moves (a poster) is ignored after this time;
            0 never ignores.
    """

    backend: Literal["auto", "direct", "mediapipe"] = "auto"
    max_faces: Annotated[int, Field(ge=1, le=100)] = 30
    min_width_px: Annotated[int, Field(ge=8)] = 14
    forget_after_s: Annotated[float, Field(gt=0, le=60)] = 1.5
    ignore_still_after_s: Annotated[float, Field(ge=0)] = 120.0


class Models(Table):
    """The model bundle.

    Attributes:
        bundle: Folder of the bundle; ``default`` is the one last installed with ``edge models
            install``, or else the one that came with the package.
        library: Where installed bundles lie.
        trusted_keys: Folder of the public keys (PEM, Ed25519) whose bundles are used; those of this
            package's releases are trusted besides.
        site_key: Folder of this device's own key, which signs what `edge calibrate` learns of the
            room and nothing else; made by the first calibration.
        allow_unsigned: Whether to use a bundle that no trusted key has signed, or a site layer that
            this device has not.
        threads: Threads each network may use; ``auto`` takes the processor cores of the board
            less one, which stays for camera, detector and publisher; four at most.
    """

    bundle: str = "default"
    library: UserPath = Path("/var/lib/emoshift/models")
    trusted_keys: UserPath = TRUSTED_KEYS
    site_key: UserPath = SITE_KEY
    allow_unsigned: bool = False
    threads: Annotated[int, Field(ge=1, le=16)] | Literal["auto"] = "auto"

    def thread_count(self) -> int:
        """Return how many threads each network gets on this board."""
        if self.threads == "auto":
            return min(max(len(os.sched_getaffinity(0)) - 1, 1), MOST_AUTO_THREADS)
        return self.threads


class Transitions(Table):
    """When a change is a change.

    Attributes:
        sensitivity: 0 (few false alarms, slower) to 1 (fast, more of them); unset takes the
            bundle's own, chosen on held-out streams.
        merge: Emotions that count as another one, such as ``{fear = "surprise"}``.
    """

    sensitivity: Annotated[float, Field(ge=0, le=1)] | None = None
    merge: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _emotions(self) -> Self:
        for source, target in self.merge.items():
            for word in (source, target):
                Emotion.from_label(word)
            if target in self.merge:
                raise ValueError(f"{source} merges into {target}, which is merged away itself")
        return self


class Outbox(Table):
    """The store between deciding and publishing.

    Attributes:
        path: The SQLite file.
        max_mb: Its largest size; beyond it the oldest events are dropped, counted and reported.
        max_age_days: Older events are dropped likewise.
        keep_sent_hours: How long subscribers can ask again for an event that was sent.
    """

    path: UserPath = Path("/var/lib/emoshift/outbox.db")
    max_mb: Annotated[float, Field(ge=1, le=4096)] = 64.0
    max_age_days: Annotated[float, Field(gt=0, le=366)] = 30.0
    keep_sent_hours: Annotated[float, Field(ge=0, le=8784)] = 24.0


class Mqtt(BrokerSettings):
    """The broker.

    Attributes:
        class_min_faces: The class summary is suppressed below this many faces.
    """

    class_min_faces: Annotated[int, Field(ge=1)] = 5


class Health(Table):
    """What the device says of itself.

    Attributes:
        interval_s: Time between two health messages.
        budget_ms: The latency from capture to outbox that the governor holds.
        metrics_port: Port on 127.0.0.1 where the publisher shows the same to Prometheus; unset
            opens none.
    """

    interval_s: Annotated[float, Field(ge=1, le=3600)] = 30.0
    budget_ms: Annotated[float, Field(gt=0, le=10000)] = 100.0
    metrics_port: Port | None = None


class Privacy(Table):
    """What leaves the device (docs/privacy.md).

    Attributes:
        publish: ``transitions`` publishes each change of each unnamed face as it is decided;
            ``class`` publishes counts over windows of time alone, with noise, and never a single
            face.
        window_s: Length of such a window, seconds.
    """

    publish: Literal["transitions", "class"] = "transitions"
    window_s: Annotated[int, Field(ge=60, le=3600)] = 600

    @property
    def single_faces(self) -> bool:
        """Whether single faces are published."""
        return self.publish == "transitions"


class HomeAssistant(Table):
    """Home Assistant's discovery over the same broker.

    Attributes:
        enabled: Whether the device announces itself.
        prefix: Home Assistant's discovery prefix.
        dashboard_url: Address of the dashboard, which Home Assistant then links to.
    """

    enabled: bool = False
    prefix: Annotated[
        str,
        Field(
            pattern=r"^[^/#+\s][^#+\s]*$",
            description="a topic without spaces, # and +, not beginning with a slash",
        ),
        BeforeValidator(lambda prefix: prefix.rstrip("/") if isinstance(prefix, str) else prefix),
    ] = "homeassistant"
    dashboard_url: (
        Annotated[
            str,
            Field(
                pattern=r"^https?://[^\s/]+(/[^\s]*)?$",
                description="an address that begins with http:// or https://",
            ),
        ]
        | None
    ) = None


class Config(Table):
    """The whole configuration; every table may be left out."""

    device: Device = Device()
    camera: Camera = Camera()
    faces: Faces = Faces()
    models: Models = Models()
    transitions: Transitions = Transitions()
    outbox: Outbox = Outbox()
    mqtt: Mqtt = Mqtt()
    health: Health = Health()
    homeassistant: HomeAssistant = HomeAssistant()
    privacy: Privacy = Privacy()


def load_config(path: Path) -> Config:
    """Read and validate a configuration file.

    Raises:
        ConfigError: The file cannot be read, or anything in it is wrong; all problems are listed.
    """
    return parse_config(read_settings(path), where=str(path))


def parse_config(data: dict[str, Any], *, where: str) -> Config:
    """Validate configuration data; ``where`` names its origin in messages.

    Raises:
        ConfigError: Anything is wrong; all problems are listed.
    """
    return parse_settings(Config, data, where=where)


def describe_publish(privacy: Privacy) -> str:
    """Say in plain words what leaves the device."""
    if privacy.single_faces:
        return (
            "Single faces are published: each change of emotion of each unnamed face. Whoever knows"
            " who sits where can connect these with people (docs/privacy.md); privacy.publish ="
            ' "class" publishes counts alone.'
        )
    return (
        f"No single face is published: only counts over {privacy.window_s} seconds, with noise, and"
        " nothing of small groups (docs/privacy.md)."
    )


def demand_legal_basis(config: Config, *, where: str) -> None:
    """Refuse to go on while nobody has stated by what right this device watches.

    Raises:
        ConfigError: ``device.legal_basis`` is empty.
    """
    if not config.device.legal_basis.strip():
        problem = (
            "device.legal_basis: missing; state by what right emotions are inferred here (in EU"
            " schools only medical or safety reasons count, AI Act Article 5(1)(f))"
        )
        raise ConfigError(where, [problem])
