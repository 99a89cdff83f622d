"""The classroom from the command line: ``python -m benchmarks.classroom``."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.classroom.actors import load_actors
from benchmarks.classroom.latency import (
    compare,
    find_and_read_memory,
    measure_memory,
    networks,
    write_clip,
)
from benchmarks.classroom.layouts import classroom
from benchmarks.classroom.limits import landmark_limits
from benchmarks.classroom.measure import WARM_S, faceless, identity, recall_by_size
from benchmarks.cli import picture_size
from edge.assets import BLAZEFACE, YUNET
from emoshift.command_line import CommandGroup

_COUNT = click.IntRange(min=1)
_LENGTH = click.FloatRange(min=0, min_open=True)

faces_option = click.option(
    "--faces", default=30, show_default=True, type=_COUNT, help="Faces in the picture."
)
SIZES_PX = (14.0, 16.0, 20.0, 26.0, 40.0, 60.0)
DETECTORS = {"yunet": YUNET, "blazeface": BLAZEFACE}
LIMITS_PX = (16.0, 20.0, 24.0, 28.0, 32.0, 40.0, 48.0, 64.0, 96.0)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure on a simulated classroom in which every face is known."""


@main.command()
@faces_option
@click.option(
    "--frames",
    default=60,
    show_default=True,
    type=click.IntRange(min=round(WARM_S * 30) + 1),
    help="Frames for each size and seed.",
)
@click.option("--detector", type=click.Choice(list(DETECTORS)), default="yunet", show_default=True)
def recall(faces: int, frames: int, detector: str) -> None:
    """Share of the faces found, by their width, on boards of 1280 x 720.

    Example: python -m benchmarks.classroom recall --frames 60 --detector blazeface
    """
    actors = load_actors()
    scores = recall_by_size(
        actors, sizes_px=SIZES_PX, faces=faces, count=frames, detector=DETECTORS[detector]
    )
    for size, score in scores.items():
        click.echo(
            f"{size:5.0f} px  recall {score.recall:.3f}  n {score.wanted}"
            f"  false tracks {len(score.false)}"
            f"  round {1e3 * statistics.median(score.rounds_s):.1f} ms"
        )


@main.command()
@faces_option
@click.option(
    "--seconds", default=20.0, show_default=True, type=_LENGTH, help="Length of each scene."
)
def switches(faces: int, seconds: float) -> None:
    """Identity switches among moving faces, some hidden, some walking across.

    Example: python -m benchmarks.classroom switches --seconds 20
    """
    score = identity(load_actors(), faces=faces, seconds=seconds)
    click.echo(
        f"switches {score.switches}  a face and minute {score.switches_per_face_minute(30):.3f}"
        f"  recall {score.recall:.3f}  n {score.wanted}  false tracks {len(score.false)}"
    )


@main.command()
@click.option(
    "--seconds", default=20.0, show_default=True, type=_LENGTH, help="Length of each scene."
)
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path, exists=True))
def false_positives(seconds: float, clips: tuple[Path, ...]) -> None:
    """False faces in an empty room, and in CLIPS that show no face.

    Example: python -m benchmarks.classroom false-positives --seconds 20 street.mp4
    """
    score = faceless(seconds=seconds, clips=clips)
    click.echo(
        f"false tracks {len(score.false)}  a minute {score.false_per_minute(30):.2f}"
        f"  frames {score.frames}"
    )


@main.command()
@faces_option
@click.option("--blocks", default=8, show_default=True, type=_COUNT, help="Blocks of 12 frames.")
@click.option(
    "--threads",
    default=1,
    show_default=True,
    type=_COUNT,
    help="Threads for models and OpenCV.",
)
@click.option("--size", default="1280x720", show_default=True, help="Size of the pictures.")
@click.option("--whole", is_flag=True, help="Count features and networks too.")
def latency(faces: int, blocks: int, threads: int, size: str, *, whole: bool) -> None:
    """Time a frame of both back ends, interleaved.

    Example: python -m benchmarks.classroom latency --faces 30 --whole
    """
    width_px, height_px = picture_size(size)
    figures = compare(
        load_actors(),
        faces=faces,
        blocks=blocks,
        threads=threads,
        width_px=width_px,
        height_px=height_px,
        rest=(lambda: networks(threads=threads)) if whole else None,
    )
    for name, value in asdict(figures).items():
        click.echo(f"{name} {value:.2f}")
    click.echo(f"one face, ratio {figures.one_ratio:.3f}")
    click.echo(f"{faces} faces, ratio {figures.all_ratio:.3f}")
    click.echo(f"each further face, ratio {figures.each_ratio:.3f}")


@main.command()
@faces_option
def memory(faces: int) -> None:
    """Memory of each back end, in a process of its own.

    Example: python -m benchmarks.classroom memory
    """
    actors = load_actors()
    for backend in ("direct", "mediapipe"):
        used = measure_memory(actors, backend=backend, faces=faces)
        click.echo(
            f"{backend:10} resident {used.resident_mb:.0f} MB"
            f"  proportional {used.proportional_mb:.0f} MB"
        )


@main.command()
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path, exists=True))
def limits(clips: tuple[Path, ...]) -> None:
    """Agreement of small faces' landmarks with the same faces at full size.

    Of one face in each of the CLIPS; of the people of the simulated classroom where none is given.

    Example: python -m benchmarks.classroom limits
    """
    for limit in landmark_limits(load_actors(clips=clips), sizes_px=LIMITS_PX):
        click.echo(
            f"{limit.by:13} {limit.face_px:5.0f} px  landmarks {limit.landmark_error:.4f}"
            f"  blendshapes {limit.blendshape_error:.4f}  correlation {limit.correlation:.3f}"
            f"  n {limit.n}"
        )


@main.command()
@faces_option
@click.option(
    "--seconds", default=10.0, show_default=True, type=_LENGTH, help="Length of the clip."
)
@click.option("--seed", default=0, show_default=True, help="Of everything that is random.")
@click.argument("out", type=click.Path(path_type=Path))
def video(faces: int, seconds: float, seed: int, out: Path) -> None:
    """Write a classroom clip to OUT.

    Example: python -m benchmarks.classroom video --faces 30 class.mp4
    """
    actors = load_actors()
    scene = classroom(actors, faces=faces, seed=seed, minutes=seconds / 60)
    write_clip(scene, actors, out, round(seconds * scene.fps))


@main.command(name="read-memory", hidden=True)
@click.option("--backend", required=True)
@click.argument("clip", type=click.Path(path_type=Path, exists=True))
def read_memory_command(backend: str, clip: Path) -> None:
    """Find faces in CLIP and print this process's memory as JSON."""
    click.echo(json.dumps(asdict(find_and_read_memory(clip, backend=backend))))


if __name__ == "__main__":
    main()
