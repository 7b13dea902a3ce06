"""Run a command that runs stages, `dvc exp run` say, with the slow imports done once for all of them.

`python -m stages.warm dvc exp run -S loss=cb` is `dvc exp run -S loss=cb`, some seconds a stage quicker.
"""

import sys

import typer

from stages.lib.warm import run_warm

app = typer.Typer(add_completion=False)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def main(command: list[str] = typer.Argument(help="The command and its arguments.")) -> None:
    """Run COMMAND while a process stands by that has imported PyTorch and timm; its stages are forks of that one."""
    try:
        status = run_warm(command)
    except OSError as error:
        print(f"error: {command[0]} cannot be run: {error.strerror}", file=sys.stderr)
        status = 127
    raise typer.Exit(status)


if __name__ == "__main__":
    app()
