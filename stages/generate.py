"""Draw the embedded default data set (generated faces, not people) in RAF-CE's layout.

Reads params.yaml: data, standin, profiles.<profile>.standin. Writes data/raw/standin; for any other data set only a
README.txt there that says so, and sees to it that data/raw/<data> stands. Unfinished pictures wait in .work/standin: an
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

    from fer_core.files import write_text
    from fer_core.labels import label_set
    from fer_core.standin import generate
    from fer_core.standin.config import read_config

    values = read_params(params)
    data = str(values.get("data"))
    label_set(data)  # refuses an unknown name
    if data != "standin":
        if out.is_dir():
            shutil.rmtree(out)
        write_text(out / "README.txt", f"No stand-in was needed: data is {data!r}.\n")
        # DVC looks for a dep before it runs a stage: in an empty folder ingest can say what belongs there
        (out.parent / data).resolve().mkdir(parents=True, exist_ok=True)
        return
    config = read_config(values)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    generate(out, config, workers=workers or cores, work=work or work_folder() / "standin")


if __name__ == "__main__":
    app()
