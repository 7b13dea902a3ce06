"""Note for every stage which source files it runs, so that a change reaches the stages that it concerns and no others.

Reads  dvc.yaml for the stages' names, fer_core/ and stages/ for what they import, however deep.
Writes data/code/<stage>.json: the hash of every file. DVC reads one of these instead of some twenty `deps` a stage,
       which makes dvc.lock a third as long; DVC reads and writes dvc.lock again after each stage.
"""

from pathlib import Path

import typer
import yaml

from fer_core.errors import ConfigError
from fer_core.files import write_json
from stages.lib.code import file_hashes, file_of
from stages.lib.common import DATA, DEBUG, stage
from stages.lib.store import replace_folder

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(dag: Path = Path("dvc.yaml"), out: Path = DATA / "code", debug: bool = DEBUG) -> None:
    """Write the hashes of the source files that each stage imports."""
    names = list(yaml.safe_load(dag.read_text(encoding="utf-8"))["stages"])
    found = {}
    for name in names:
        module = f"stages.{name}"
        if not file_of(module).exists():
            raise ConfigError(f"{dag} has a stage `{name}`, but there is no {file_of(module).name} in stages/.")
        found[name] = file_hashes(module)
    replace_folder(out)
    for name, hashes in found.items():
        write_json(out / f"{name}.json", hashes)


if __name__ == "__main__":
    app()
