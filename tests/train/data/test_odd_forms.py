"""FER2013, FER+ and folders in every form that circulates: read, or reported in one line."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from emoshift.errors import InputError
from train.data.annotated import read_annotated
from train.data.fer2013 import USAGES, csv_in, read_fer2013
from train.data.ferplus import COLUMNS, read_votes
from train.data.image_folder import read_cached_folder, read_tree

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 9
ODD = Path(__file__).resolve().parents[3] / "../shared/data/odd_inputs/fer2013"


def lines(header: str = "emotion,pixels,Usage") -> list[str]:
    """A small FER2013: the columns in the header's order, with its spaces and its case."""
    rng = np.random.default_rng(0)
    order = [cell.strip().lower() for cell in header.split(",")]
    made = [header]
    for row in range(ROWS):
        pixels = " ".join(str(value) for value in rng.integers(0, 256, 48 * 48))
        cells = {"emotion": str(row % 7), "pixels": pixels, "usage": USAGES[row % 3]}
        made.append(",".join(cells[name] for name in order))
    return made


def text(header: str = "emotion,pixels,Usage", end: str = "\n") -> str:
    return end.join(lines(header)) + end


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


PLAIN = text().encode()
README = b"read me"
FORMS = {
    "plain": ("fer2013.csv", PLAIN),
    "windows line ends": ("fer2013.csv", text(end="\r\n").encode()),
    "no line end at the end": ("fer2013.csv", PLAIN.rstrip()),
    "blank lines": ("fer2013.csv", PLAIN.replace(b"\n", b"\n\n")),
    "byte order mark": ("fer2013.csv", b"\xef\xbb\xbf" + PLAIN),
    "utf-16 with a mark": ("fer2013.csv", text().encode("utf-16")),
    "utf-16 little, no mark": ("fer2013.csv", text().encode("utf-16-le")),
    "utf-16 big, no mark": ("fer2013.csv", text().encode("utf-16-be")),
    "Kaggle's own": ("icml_face_data.csv", text("emotion, Usage, pixels").encode()),
    "Kaggle's own, renamed": ("fer2013.csv", text("emotion, Usage, pixels").encode()),
    "upper case": ("FER2013.CSV", text("Emotion,Pixels,USAGE").encode()),
    "semicolons": ("fer2013.csv", PLAIN.replace(b",", b";")),
    "tabs": ("fer2013.csv", PLAIN.replace(b",", b"\t")),
    "quotes": (
        "fer2013.csv",
        PLAIN.replace(b",", b'","').replace(b"\n", b'"\n"')[:-1].join([b'"', b""]),
    ),
    "zip": ("fer2013.csv.zip", zipped({"fer2013.csv": PLAIN})),
    "zip in a folder": (
        "fer2013.zip",
        zipped({"fer2013/README": README, "fer2013/fer2013.csv": PLAIN}),
    ),
    "zip, bzip2": ("fer2013.csv.zip", zipped({"fer2013.csv": PLAIN}, zipfile.ZIP_BZIP2)),
    "zip of a Mac": ("archive.zip", zipped({"__MACOSX/._fer2013.csv": b"x", "fer2013.csv": PLAIN})),
    "zip with another name": (
        "archive.zip",
        zipped({"data/faces.csv": PLAIN, "notes.txt": README}),
    ),
    "the challenge's zip": (
        "challenges-in-representation-learning-facial-expression-recognition-challenge.zip",
        zipped(
            {
                "train.csv": b"emotion,pixels\n",
                "test.csv": b"pixels\n",
                "icml_face_data.csv": text("emotion, Usage, pixels").encode(),
            }
        ),
    ),
    "tar.gz": ("fer2013.tar.gz", tarred({"fer2013/README": README, "fer2013/fer2013.csv": PLAIN})),
    "tar": ("fer2013.tar", tarred({"fer2013/fer2013.csv": PLAIN}, "w")),
    "gz": ("fer2013.csv.gz", gzip.compress(PLAIN)),
    "gz named csv": ("fer2013.csv", gzip.compress(PLAIN)),
    "bzip2 named csv": ("fer2013.csv", bz2.compress(PLAIN)),
    "xz named csv": ("fer2013.csv", lzma.compress(PLAIN)),
    "zip named csv": ("fer2013.csv", zipped({"fer2013.csv": text().encode("utf-16")})),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_the_same(tmp_path: Path, form: str) -> None:
    """Header, case, encoding and packing make no difference to the rows."""
    name, data = FORMS[form]
    (tmp_path / name).write_bytes(data)
    read = read_fer2013(csv_in(tmp_path))
    (tmp_path / "reference").mkdir()
    reference = tmp_path / "reference" / "fer2013.csv"
    reference.write_bytes(PLAIN)
    expected = read_fer2013(reference)
    np.testing.assert_array_equal(read.pixels, expected.pixels)
    assert read.labels.tolist() == expected.labels.tolist() == [row % 7 for row in range(ROWS)]
    assert read.usage.tolist() == expected.usage.tolist()
    assert not read.problems.lines


def bomb(block: bytes, size: int) -> bytes:
    """A small gzip file that unpacks to so many bytes of the same."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    out = [packer.compress(b"emotion,pixels,Usage\n")]
    out += [packer.compress(block) for _ in range(size // len(block))]
    return b"".join([*out, packer.flush()])


CLOSED = {
    "cut zip": ("fer2013.csv.zip", zipped({"fer2013.csv": PLAIN})[:5000], "get the file again"),
    "damaged zip": (
        "fer2013.csv.zip",
        zipped({"fer2013.csv": PLAIN}, zipfile.ZIP_STORED).replace(b"Private", b"Privat\0"),
        "CRC",
    ),
    "cut tar.gz": ("fer2013.tar.gz", tarred({"fer2013.csv": PLAIN})[:5000], "get the file again"),
    "cut gz": ("fer2013.csv.gz", gzip.compress(PLAIN)[:5000], "get the file again"),
    "other zip": ("archive.zip", zipped({"a.csv": PLAIN, "b.csv": PLAIN}), "holds no fer2013.csv"),
    "empty zip": ("archive.zip", zipped({}), "holds nothing"),
    "empty": ("fer2013.csv", b"", "lacks the columns emotion, pixels, usage"),
    "header alone": ("fer2013.csv", b"emotion,pixels,Usage\n", "holds no row"),
    "train.csv renamed": ("fer2013.csv", b"emotion,pixels\n3,1 2 3\n", "lacks the column usage"),
    "a picture": ("fer2013.csv", b"\x89PNG\r\n\x1a\n" + bytes(300), "lacks the columns"),
    "one endless line": (
        "fer2013.csv",
        b"emotion,pixels,Usage\n3," + b"7" * (1 << 21),
        "not a table",
    ),
    "no row readable": (
        "fer2013.csv",
        b"emotion,pixels,Usage\n3,1 2,Training\n",
        "line 2: 2 pixels",
    ),
}


@pytest.mark.parametrize("kind", CLOSED)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, kind: str) -> None:
    """The line names the file and what is wrong, and the exit code is that of bad input."""
    name, data, said = CLOSED[kind]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_fer2013(csv_in(tmp_path))
    assert said in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        pytest.param(bytes(1 << 20), "a line is longer than 1 MB", id="one endless line"),
        pytest.param(b"3,1 2 3,Training\n" * 10_000, "more than 100000 rows", id="endless rows"),
    ],
)
def test_a_bomb_is_refused(tmp_path: Path, block: bytes, said: str) -> None:
    """A file that unpacks to far more than FER2013 is left alone, in little memory."""
    path = tmp_path / "fer2013.csv.gz"
    path.write_bytes(bomb(block, 64 << 20))
    assert path.stat().st_size < 400_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=said):
            read_fer2013(path)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 60e6


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("x,{pixels},Training", "emotion is 'x', expected a whole number"),
        ("7,{pixels},Training", "emotion 7, expected 0 to 6"),
        ("3.5,{pixels},Training", "emotion is '3.5'"),
        ("3,1 2 3,Training", "3 pixels, expected 2304"),
        ("3,{wrong},Training", "pixels other than numbers from 0 to 255"),
        ("3,{pixels},Nowhere", "usage 'nowhere'"),
        ("3", "0 pixels"),
    ],
)
def test_a_bad_row_is_told_by_its_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cells: str, said: str
) -> None:
    """It keeps its place, is left out, and a warning says which line and why."""
    good = " ".join(["7"] * 2304)
    row = cells.format(pixels=good, wrong=good.replace("7", "700"))
    path = tmp_path / "fer2013.csv"
    path.write_text(f"emotion,pixels,Usage\n3,{good},Training\n{row}\n5,{good},Training\n")
    read = read_fer2013(path)
    assert read.labels.tolist() == [3, -1, 5]
    assert f"line 3: {said}" in read.problems.summary()
    assert any("line 3" in record.message for record in caplog.records)


VOTES = [
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
]
VOTES += [f"{USAGES[row % 3]},fer{row:07d}.png,0,9,0,0,0,0,0,0,1,0" for row in range(ROWS)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t, id="as published"),
        pytest.param(lambda t: t.replace("neutral", "Neutral").replace("NF", "nf"), id="case"),
        pytest.param(lambda t: t.replace(",9,", ",9.0,").replace(",0\n", ",0.\n"), id="floats"),
        pytest.param(lambda t: t.replace(",", " , "), id="spaces"),
        pytest.param(lambda t: t.replace(",", ";"), id="semicolons"),
        pytest.param(lambda t: t.replace("Training", "training"), id="usage in lower case"),
        pytest.param(lambda t: "\ufeff" + t, id="byte order mark"),
        pytest.param(lambda t: t + "\n\n", id="blank lines"),
    ],
)
def test_votes_in_any_form(tmp_path: Path, change: Callable[[str], str]) -> None:
    """The same votes, whatever the form."""
    path = tmp_path / "fer2013new.csv"
    path.write_text(change("\n".join(VOTES) + "\n"), encoding="utf-8")
    votes = read_votes(path)
    assert votes.counts.shape == (ROWS, len(COLUMNS))
    assert (votes.counts[:, COLUMNS.index("happiness")] == 9).all()
    assert (votes.counts.sum(axis=1) == 9).all()
    assert votes.usage == tuple(USAGES[row % 3] for row in range(ROWS))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("Training,fer0000009.png,1,2", "line 11: the row ends before the column anger"),
        ("Training,fer0000009.png,0,9,0,0,x,0,0,0,1,0", "line 11: anger is 'x'"),
        ("Training,fer0000009.png,0,9,0,0,,0,0,0,1,0", "line 11: anger is nothing"),
        ("Training,fer0000009.png,0,9.5,0,0,0,0,0,0,1,0", "line 11: happiness is '9.5'"),
        ("Training,fer0000009.png,0,-9,0,0,0,0,0,0,1,0", "line 11: -9 votes for happiness"),
        ("Training,fer0000009.png,0,900,0,0,0,0,0,0,1,0", "line 11: 900 votes"),
        ("Training,fer0000009.png,0,nan,0,0,0,0,0,0,1,0", "line 11: happiness is 'nan'"),
    ],
)
def test_bad_votes_are_refused_by_line(tmp_path: Path, row: str, said: str) -> None:
    """Votes that cannot be read are never trained on: one line with its number."""
    path = tmp_path / "fer2013new.csv"
    path.write_text("\n".join([*VOTES, row]) + "\n")
    with pytest.raises(InputError) as caught:
        read_votes(path)
    assert said in str(caught.value)


PICTURE = cv2.imencode(".png", np.arange(48 * 48, dtype=np.uint8).reshape(48, 48))[1].tobytes()


def test_odd_things_in_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is no readable picture is left out and named, with the reason; the rest is read."""
    happy = tmp_path / "Happy"
    happy.mkdir()
    (happy / "good.png").write_bytes(PICTURE)
    (happy / "linked.png").symlink_to(happy / "good.png")
    (happy / "broken.png").symlink_to(tmp_path / "nothing.png")
    (happy / "circle.png").symlink_to(happy / "circle.png")
    (happy / "folder.png").mkdir()
    (happy / "letter.png").write_text("Dear parents")
    (happy / "empty.png").write_bytes(b"")
    (happy / "cut.png").write_bytes(PICTURE[:40])
    (happy / "notes.txt").write_text("notes")
    (happy / "unreadable.png").symlink_to("/proc/self/mem")
    os.mkfifo(happy / "pipe.png")
    width = (60_000).to_bytes(4, "big")
    huge = PICTURE[:16] + width + width + PICTURE[24:29]
    (happy / "bomb.png").write_bytes(
        huge + zlib.crc32(huge[12:29]).to_bytes(4, "big") + PICTURE[33:]
    )
    strange = os.fsdecode(os.fsencode(happy) + b"/caf\xe9.png")
    Path(strange).write_bytes(PICTURE)
    (tmp_path / "Thumbs").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    tree = read_tree(tmp_path)
    assert len(tree.crops) == 3
    said = "\n".join(tree.problems.lines)
    said.encode()  # a terminal has to be able to show it
    for name, reason in {
        "broken.png": "a link to nothing",
        "circle.png": "a link to nothing",
        "folder.png": "not a file",
        "letter.png": "cannot be read as a picture",
        "empty.png": "is empty",
        "cut.png": "cannot be read as a picture",
        "notes.txt": "not a picture by its name",
        "unreadable.png": "cannot be read",
        "pipe.png": "not a file",
        "bomb.png": "pixels",
        "Thumbs/": "no emotion of that name",
    }.items():
        assert any(name in line and reason in line for line in tree.problems.lines), (name, said)

    cache = tmp_path.with_name("cache of " + tmp_path.name)
    for _ in range(2):
        kept = read_cached_folder(tmp_path, cache)
        assert kept.names == tree.names
        assert kept.problems.lines == tree.problems.lines
    assert any("left out" in record.message for record in caplog.records)


def test_nothing_but_odd_things(tmp_path: Path) -> None:
    """Where no picture is left, the line says so and names the first reason."""
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "1.png").write_text("no")
    with pytest.raises(InputError, match=r"found no picture.*happy/1\.png"):
        read_tree(tmp_path)


@pytest.mark.data
@pytest.mark.skipif(not ODD.exists(), reason="needs the shared data set in ../shared/data")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bom", None),
        ("utf16", None),
        ("icml", None),
        ("upper", None),
        ("zip_nested", None),
        ("v_case", None),
        ("v_float", None),
        ("zip_bad", "get the file again"),
        ("missing", "pictures but"),
        ("v_fewer", "rows of votes"),
        ("v_short", "line 23: the row ends before the column"),
    ],
)
def test_shared_odd_files(name: str, said: str | None) -> None:
    """Every shared FER2013 that is odd is read, or refused in one line."""
    folder = ODD / name / "fer2013"
    if said is None:
        found = read_annotated(folder)
        assert len(found.fer.labels) == len(found.votes.counts) > 20
        assert not found.fer.problems.lines
        return
    with pytest.raises(InputError) as caught:
        read_annotated(folder)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
