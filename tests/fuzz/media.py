"""Fuzz targets for what a user brings: videos, csv files in every packing, folders of pictures."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import itertools
import lzma
import tarfile
import zipfile
from typing import TYPE_CHECKING, Final

import cv2

from edge.assets import SAMPLE_CLIP, find_asset
from edge.capture.clip import Clip
from emoshift.errors import EmoshiftError
from tests.fuzz.mutate import mutate_bytes
from tests.support.videos import noise, write_clip
from train.data.annotated import read_annotated
from train.data.ferplus import COLUMNS
from train.data.image_folder import read_tree

if TYPE_CHECKING:
    import random
    from pathlib import Path

MOST_FRAMES: Final = 40


class Video:
    """Video files of several containers and codecs, damaged anywhere; each is read to its end."""

    _KINDS = (
        ("avi", "mjpeg", "yuvj420p", {}),
        ("mp4", "libx264", "yuv420p", {}),
        ("mp4", "libx264", "yuv420p", {"flags": "+ildct+ilme"}),
        ("mov", "mpeg4", "yuv420p", {}),
        ("mkv", "ffv1", "bgr0", {}),
        ("mkv", "libx264", "yuv422p", {}),
        ("ts", "libx264", "yuv420p", {}),
        ("webm", "libvpx-vp9", "yuv420p", {}),
    )

    def __init__(self, folder: Path) -> None:
        self._path = folder / "clip"
        sample = find_asset(SAMPLE_CLIP)
        self._seeds = [] if sample is None else [sample.read_bytes()]
        for number, (suffix, codec, pixels, options) in enumerate(self._KINDS):
            path = folder / f"made-{number}.{suffix}"
            write_clip(path, noise(8), codec=codec, pixels=pixels, options=options, fps=10)
            self._seeds.append(path.read_bytes())

    def make(self, chance: random.Random) -> bytes:
        seed = chance.choice(self._seeds)
        if chance.random() < 0.5:  # most of what can go wrong is decided in head and index
            cut = chance.choice((200, 2000))
            if chance.random() < 0.5:
                return mutate_bytes(seed[:cut], chance) + seed[cut:]
            return seed[:-cut] + mutate_bytes(seed[-cut:], chance)
        return mutate_bytes(seed, chance)

    def run(self, data: bytes) -> None:
        self._path.write_bytes(data)
        last_s = 0.0
        with contextlib.suppress(EmoshiftError):
            clip = Clip(self._path, rotate=90, max_fps=30.0)
            for frame in itertools.islice(clip.frames(), MOST_FRAMES):
                assert frame.image.ndim == 3
                assert frame.captured_s >= last_s
                last_s = frame.captured_s


class Table:
    """FER2013 and its votes as csv files, packed in every way, damaged anywhere."""

    _TOKENS = (
        b",", b";", b"\t", b"\r", b"\n", b'"', b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"9" * 400,
        b"-1", b"nan", b"1e999", b"9.0", b"PrivateTest", b"emotion,pixels,Usage\n", b"PK\3\4",
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "fer2013"
        self._folder.mkdir()
        pixels = " ".join(str(n % 256) for n in range(48 * 48))
        plain = "emotion,pixels,Usage\n" + f"3,{pixels},Training\n" * 4
        votes = ",".join(("Usage", "Image name", *COLUMNS)) + "\n"
        votes += "".join(f"Training,fer{n:07d}.png,0,0,0,9,0,0,0,0,1,0\n" for n in range(4))
        data = plain.encode()
        self._votes = votes.encode()
        packed_zip, packed_tar = io.BytesIO(), io.BytesIO()
        with zipfile.ZipFile(packed_zip, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("fer2013/fer2013.csv", data)
        with tarfile.open(fileobj=packed_tar, mode="w") as tar:
            member = tarfile.TarInfo("fer2013/fer2013.csv")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        self._seeds = (
            data, plain.encode("utf-16"), packed_zip.getvalue(), packed_tar.getvalue(),
            gzip.compress(data), bz2.compress(data), lzma.compress(data),
        )  # fmt: skip

    def make(self, chance: random.Random) -> bytes:
        if chance.random() < 0.3:
            return b"V" + mutate_bytes(self._votes, chance, self._TOKENS)
        return b"P" + mutate_bytes(chance.choice(self._seeds), chance, self._TOKENS)

    def run(self, data: bytes) -> None:
        votes = data[:1] == b"V"
        pictures = self._seeds[0] if votes else data[1:]
        (self._folder / "fer2013.csv").write_bytes(pictures)
        (self._folder / "fer2013new.csv").write_bytes(data[1:] if votes else self._votes)
        with contextlib.suppress(EmoshiftError):
            read_annotated(self._folder)


class PictureFolder:
    """A folder of pictures, one of them damaged anywhere."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "pictures"
        (self._root / "happy").mkdir(parents=True)
        image = cv2.cvtColor(noise(1)[0], cv2.COLOR_BGR2GRAY)
        kinds = (".png", ".jpg", ".bmp", ".pgm", ".tiff")
        self._seeds = [(kind, cv2.imencode(kind, image)[1].tobytes()) for kind in kinds]
        (self._root / "happy" / "good.png").write_bytes(self._seeds[0][1])

    def make(self, chance: random.Random) -> bytes:
        kind, seed = chance.choice(self._seeds)
        if chance.random() < 0.5:
            seed = mutate_bytes(seed[:60], chance) + seed[60:]
        else:
            seed = mutate_bytes(seed, chance)
        return kind.encode().ljust(8) + seed

    def run(self, data: bytes) -> None:
        path = self._root / "happy" / f"odd{data[:8].decode().strip()}"
        path.write_bytes(data[8:])
        try:
            tree = read_tree(self._root)
        finally:
            path.unlink()
        assert len(tree.crops) + len(tree.problems) == 2
