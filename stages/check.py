"""Tell what a folder, table, label file or archive is, what it holds, what is wrong with it, and what to write.

Reads  the path, and data/raw's neighbours of a folder to guess what was meant.
Writes nothing, or the file that --json names.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from stages.lib.common import DEBUG, stage

if TYPE_CHECKING:
    Facts = dict[str, Any]

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    path: Path = typer.Argument(..., help="A folder, a table (.csv, .parquet), a label file or an archive."),
    as_: Optional[str] = typer.Option(None, "--as", metavar="NAME", help="Read it as this set."),  # noqa: UP045
    json_file: Optional[Path] = typer.Option(None, "--json", help="Write the same facts."),  # noqa: UP045
    debug: bool = DEBUG,
) -> None:
    """Inspect data before anything is run on it: format, counts, problems, and the lines for params.yaml."""
    from fer_core.errors import DataError
    from fer_core.files import write_json
    from stages.lib.check_text import show
    from stages.lib.console import console

    if not path.exists():
        raise DataError(f"{path} does not exist.")
    facts = _facts(path, as_)
    show(console(), facts)
    if json_file:
        write_json(json_file, facts)


def _facts(path: Path, name: "str | None") -> "Facts":
    from fer_core.datasets import guess, label_files
    from fer_core.datasets.archive_members import is_archive
    from fer_core.datasets.guess_table import is_table
    from fer_core.datasets.inspect import inspect
    from fer_core.datasets.inspect_table import DATA, inspect_table, table_in

    if path.is_dir():
        found = guess.recognise(path) if name is None else [name]
        bare = name is None and not guess.near(path) and table_in(path) is not None
        return inspect_table(path) if found[:1] == [DATA] or (not found and bare) else inspect(path, name)
    if is_archive(path):
        return _archive(path)
    if name is not None:
        return inspect_table(path) if name == DATA else inspect(path.parent, name) | {"because": path.name}
    if form := label_files.known_form(path):
        return _label_file(path, form)
    if data := guess.set_of_file(path):
        return inspect(path.parent, data) | {"because": path.name}
    if is_table(path):
        return inspect_table(path)
    if form := label_files.form_of(path):
        return _label_file(path, form)
    raise guess.not_recognised(path)


def _archive(path: Path) -> "Facts":
    from collections import Counter

    from fer_core.datasets.archive_members import FILE
    from fer_core.datasets.archives import contents

    found = contents(path)
    files = [member for member in found if member.kind == FILE]
    return {
        "kind": "archive",
        "path": str(path),
        "title": "Archive",
        "files": len(files),
        "size": sum(member.size for member in files),
        "folders": dict(Counter(member.name.rpartition("/")[0] or "." for member in files).most_common(20)),
        "endings": dict(Counter(Path(member.name).suffix.lower() for member in files).most_common(10)),
        "next": f"fer unpack {path} FOLDER",
    }


def _label_file(path: Path, form: Any) -> "Facts":
    return {
        "kind": "label file",
        "path": str(path),
        "title": form.title,
        "next": f"fer check {path.parent}",
    } | form.read(path)


if __name__ == "__main__":
    app()
