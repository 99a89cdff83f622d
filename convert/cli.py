"""The ``convert`` command, also installed as ``emoshift-convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from convert.recipe import DEFAULT_RECIPE, Precision, load_recipe
from emoshift.command_line import CommandGroup, OutputPath, RenamedOption
from emoshift.errors import BundleError, OutputError, UsageError

if TYPE_CHECKING:
    from convert.recipe import Recipe

_PATH = click.Path(path_type=Path)
DEFAULT_COMMAND = "bundle"


class _Group(CommandGroup):
    """Builds by default."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        wants_help = bool({"-h", "--help"} & set(args))
        named = args and args[0] in self.commands
        if not named and not (wants_help and len(args) == 1):
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)


_data = click.option(
    "--calibration",
    "data",
    type=_PATH,
    help="Folder with fer2013.csv (or its zip) and fer2013new.csv.  [default: fer2013 in"
    " $EMOSHIFT_DATA]",
)
_recipe = click.option(
    "--recipe", "recipe_path", type=_PATH, default=DEFAULT_RECIPE, help="TOML file of the bundle."
)
_cache = click.option(
    "--cache",
    type=_PATH,
    default=Path(".cache"),
    show_default=True,
    help="Where decoded pictures are kept.",
)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Turn trained networks into the bundle a device loads, and look at bundles.

    Without a command it builds: `convert --quantize int8` is `convert bundle --quantize int8`.

    \b
    Example:
        convert --quantize int8 --overwrite
        convert verify models/default
        convert inspect models/default
        convert diff models/default out/float32
    """


@main.command(name=DEFAULT_COMMAND)
@click.argument("models", nargs=-1, type=_PATH)
@click.option(
    "--quantize",
    type=click.Choice(get_args(Precision)),
    help="Precision of every member.  [default: the recipe's, int8]",
)
@_recipe
@click.option(
    "-o",
    "--output",
    "out",
    cls=RenamedOption,
    before="--out",
    type=OutputPath(),
    help="Folder of the bundle.  [default: models/default, or out/NAME for chosen models]",
)
@_data
@_cache
@click.option("--overwrite", is_flag=True, help="Replace a bundle that is there.")
@click.option("--allow-failing", is_flag=True, help="Write a marked bundle if the gate fails.")
def bundle(
    *,
    models: tuple[Path, ...],
    quantize: Precision | None,
    recipe_path: Path,
    out: Path | None,
    data: Path | None,
    cache: Path,
    overwrite: bool,
    allow_failing: bool,
) -> None:
    """Convert, calibrate, verify and write a bundle.

    MODELS are .keras files; without any, those of the recipe are taken. A recurrent network needs
    the .json and .npz that training wrote beside it. If the verify gate fails nothing is written.

    \b
    Example:
        convert --quantize int8 --overwrite
        convert models/sources/cnn_a.keras --quantize float16 -o out/half
    """
    from convert.build import build
    from convert.datasets import fer2013_folder

    recipe = load_recipe(recipe_path, quantise=quantize)
    if models:
        recipe = _chosen(recipe, models)
    if out is None:
        out = Path("out") / recipe.name if models else Path("models") / recipe.name
    manifest = build(
        recipe,
        data=fer2013_folder(data),
        out=out,
        overwrite=overwrite,
        allow_failing=allow_failing,
        cache=cache,
        log=click.echo,
    )
    if manifest.failing:
        click.echo("Warning: the verify gate failed; the bundle is marked so", err=True)


@main.command()
@click.argument("folder", metavar="BUNDLE", type=_PATH)
@click.option("--float", "against_float", is_flag=True, help="Convert the sources again and judge.")
@_recipe
@_data
@_cache
def verify(
    *, folder: Path, against_float: bool, recipe_path: Path, data: Path | None, cache: Path
) -> None:
    """Check a bundle as the device does, and print its report.

    With --float its members are compared anew with the float networks of the recipe, on held-out
    data; that takes as long as building.

    \b
    Example:
        convert verify models/default
        convert verify models/default --float
    """
    from edge.bundle.loader import load_bundle

    loaded = load_bundle(folder)
    report = loaded.manifest.gate
    if against_float:
        from convert.build import reverify
        from convert.datasets import fer2013_folder

        report = reverify(loaded, load_recipe(recipe_path), data=fer2013_folder(data), cache=cache)
    for result in report:
        click.echo(
            f"{'ok  ' if result.passed else 'FAIL'} {result.member}: {result.check}"
            f" {result.limit:g}, found {result.value:g} (n = {result.n:,}, {result.data})"
        )
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    failed = sum(not result.passed for result in report)
    if failed or not report:
        reason = f"{failed} of {len(report)} checks failed" if report else "no report of a gate"
        raise BundleError(f"{folder}: {reason}; build it again with 'convert'")
    click.echo(f"{loaded.manifest.bundle_id}: whole and unaltered, {len(report)} checks passed")


@main.command()
@click.argument("folder", metavar="BUNDLE", type=_PATH)
def inspect(folder: Path) -> None:
    """List what is inside: operators, shapes, scales, sizes.

    And what XNNPACK takes.

    \b
    Example:
        convert inspect models/default
    """
    from convert.inspect import describe
    from edge.bundle.loader import load_bundle

    for line in describe(load_bundle(folder)):
        click.echo(line)


@main.command()
@click.argument("one", metavar="A", type=_PATH)
@click.argument("other", metavar="B", type=_PATH)
def diff(one: Path, other: Path) -> None:
    """Show what differs between two bundles.

    The exit code is 1 where anything does.

    \b
    Example:
        convert diff models/default out/rebuilt
    """
    from convert.diff import differences
    from edge.bundle.loader import load_bundle

    lines = differences(load_bundle(one).manifest, load_bundle(other).manifest)
    for line in lines:
        click.echo(line)
    if not lines:
        click.echo("the bundles are the same")
    raise SystemExit(1 if lines else 0)


@main.command()
@click.argument("folder", metavar="BUNDLE", type=_PATH)
@click.argument("parameters", metavar="JSON", type=_PATH)
def retune(folder: Path, parameters: Path) -> None:
    """Put fitted change detector parameters into a bundle.

    Its networks stay.

    \b
    Example:
        convert retune models/default models/sources/temporal.json
    """
    from convert.build import replace_detector_parameters
    from edge.bundle.loader import load_bundle

    manifest = replace_detector_parameters(load_bundle(folder), parameters)
    click.echo(f"{folder}: {manifest.bundle_id}")


@main.command(name="small-face")
@click.argument("source", metavar="NET", type=_PATH)
@click.option(
    "-o",
    "--output",
    "out",
    type=OutputPath(),
    default=Path("models/small_face"),
    show_default=True,
    help="Folder to write.",
)
@_cache
def small_face(source: Path, out: Path, *, cache: Path) -> None:
    """Convert the network that measures small faces.

    To int8, calibrated on the faces it was trained on; nothing is written where int8 differs too
    much from the network itself.

    \b
    Example:
        convert small-face models/sources/small_face.keras
    """
    from convert.small_face import convert_small_face

    report = convert_small_face(source, out, cache=cache)
    click.echo(
        f"{out}: {report.size_bytes} bytes; blendshapes follow the float network's with a"
        f" correlation of {report.correlation:.4f}, landmarks are {report.points_off:.4f} sides"
        " of the crop off"
    )


@main.command()
@click.argument("document", type=_PATH)
@click.argument("folder", metavar="[BUNDLE]", type=_PATH, default=Path("models/default"))
def document(document: Path, folder: Path) -> None:
    """Write a bundle's figures into a part of a Markdown file.

    That between the marks which the file must have.

    \b
    Example:
        convert document docs/research/quantisation.md models/default
    """
    from convert.model_card import update_document
    from edge.bundle.loader import load_bundle

    try:
        text = document.read_text(encoding="utf-8")
        document.write_text(update_document(text, load_bundle(folder).manifest), encoding="utf-8")
    except UnicodeDecodeError as why:
        raise UsageError(f"{document}: not a Markdown file") from why
    except OSError as why:
        raise OutputError(f"{document}: {why.strerror}") from why
    click.echo(f"{document}")


def _chosen(recipe: Recipe, models: tuple[Path, ...]) -> Recipe:
    """Return the recipe with these networks for members, each like the member of its name."""
    known = {member.name: member for member in recipe.members}
    folders = {path.resolve().parent for path in models}
    if len(folders) != 1:
        raise UsageError("the models lie in several folders; put them into one, or use --recipe")
    members = []
    for path in models:
        like = known.get(path.stem)
        if like is None:
            kind = "lstm" if path.with_suffix(".npz").exists() else "cnn"
            first = next((m for m in recipe.members if m.kind == kind), None)
            if first is None:
                raise UsageError(f"{path}: the recipe has no {kind} member to take after")
            beside = {"channels": f"{path.stem}.json", "samples": f"{path.stem}.npz"}
            like = first.model_copy(update=beside if kind == "lstm" else {})
        members.append(like.model_copy(update={"name": path.stem, "source": path.name}))
    (folder,) = folders
    return recipe.model_copy(
        update={
            "sources": folder,
            "members": tuple(members),
            "name": models[0].stem if len(models) == 1 else "chosen",
        }
    )


if __name__ == "__main__":
    main()
