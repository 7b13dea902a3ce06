"""Run a command that runs stages, `dvc exp run` say, with the slow imports done once for all of them.

`python -m stages.warm dvc exp run -S loss=cb` is `dvc exp run -S loss=cb`, some seconds a stage quicker.
"""

import subprocess
import sys

import typer

from stages.lib.warm import warm_process

app = typer.Typer(add_completion=False)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def main(command: list[str] = typer.Argument(help="The command and its arguments.")) -> None:
    """Run COMMAND while a process stands by that has imported PyTorch and timm; every stage is a fork of it."""
    with warm_process() as environment:
        try:
            status = subprocess.run(command, env=environment, check=False).returncode
        except OSError as error:
            print(f"error: {command[0]} cannot be run: {error.strerror}", file=sys.stderr)
            status = 127
        except KeyboardInterrupt:
            status = 130
    raise typer.Exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    app()
