"""Draw the embedded default data set (generated faces, not people) in RAF-CE's layout.

Reads params.yaml: data, standin, profiles.<profile>.standin. Writes data/raw/standin; for any other data set only a
README.txt there that says so, and sees to it that data/raw/<data> stands, put together of its parts where it names
several sets. Unfinished pictures wait in .work/standin: an
interrupted run goes on where it was.
"""

import os
from pathlib import Path

import typer

from stages.lib.common import DATA, DEBUG, read_params, stage, work_folder

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    out: Path = typer.Option(DATA / "raw" / "standin", help="Folder to write."),
    params: Path = typer.Option(Path("params.yaml"), help="Where data, standin and profile are read."),
    work: Path | None = typer.Option(None, help="Where unfinished pictures wait.", show_default=".work/standin"),
    workers: int = typer.Option(0, help="Processes; 0 means one per core."),
    debug: bool = DEBUG,
) -> None:
    """Draw the generated data set."""
    import shutil

    from fer_core.datasets.registry import names_of
    from fer_core.files import write_text
    from fer_core.standin import generate
    from fer_core.standin.config import read_config

    values = read_params(params)
    data = str(values.get("data"))
    names = names_of(data)  # refuses an unknown one
    if "standin" not in names:
        if out.is_dir():
            shutil.rmtree(out)
        write_text(out / "README.txt", f"No stand-in was needed: data is {data!r}.\n")
        _prepare(out.parent, data, names)
        return
    config = read_config(values)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    generate(out, config, workers=workers or cores, work=work or work_folder() / "standin")
    _prepare(out.parent, data, names)


def _prepare(raw: Path, data: str, names: tuple[str, ...]) -> None:
    """See to it that the folder stands that ingest depends on: DVC looks for it before it runs a stage.

    In an empty one ingest can say what belongs there.
    """
    from fer_core.datasets.combine import combine

    if len(names) > 1 and all((raw / name).is_dir() for name in names):
        combine(raw, names)
    else:
        (raw / data).resolve().mkdir(parents=True, exist_ok=True)


if __name__ == "__main__":
    app()
