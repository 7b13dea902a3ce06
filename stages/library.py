"""Choose an ensemble among all that was trained (Caruana et al., ICML 2004); nothing is trained for it.

Reads  the predictions of every run under data/train, validation labels.
Writes data/stack/library/, as `stages.stack` does.
"""

import typer

from stages.lib.common import DEBUG, stage

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(debug: bool = DEBUG) -> None:
    """Stack every trained run, into data/stack/library."""
    from stages.stack import stack

    stack("library", group="all")


if __name__ == "__main__":
    app()
