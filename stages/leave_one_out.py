"""Train the final recipe without each of its techniques in turn, where `leave_one_out` in params.yaml asks for it.

Reads  the ladder's recipe and kept rungs (state.yaml), what `stages.train` reads.
Writes data/without/<technique>/, one folder as of `stages.train` for each kept rung that changes the recipe; nothing
       but an empty folder when it is not asked for.

The recipe with all of them is trained anyway, as the ensemble's member `current`.
"""

from pathlib import Path

import typer

from fer_core.files import read_yaml
from fer_core.roadmap import without_plans
from stages.lib.common import DATA, DEBUG, PLANS, stage
from stages.lib.store import replace_folder
from stages.lib.training import Inputs, train_plan

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    state: Path = typer.Option(..., help="The state.yaml of the last rung that changes the recipe."),
    road: Path = PLANS / "road.yaml",
    out: Path = DATA / "without",
    debug: bool = DEBUG,
) -> None:
    """Train the final recipe less one technique, once for each."""
    layout, stands = read_yaml(road), read_yaml(state)
    replace_folder(out)
    if not layout["leave_one_out"]:
        print("leave-one-out: not asked for (`leave_one_out: false` in params.yaml)")
        return
    plans = without_plans(layout, stands["kept_rungs"], stands["recipe"])
    for name, plan in plans.items():
        train_plan(f"without {name}", plan, out / name, Inputs())
    print(
        f"leave-one-out: {len(plans)} recipes" if plans else "leave-one-out: no rung that changes the recipe was kept"
    )


if __name__ == "__main__":
    app()
