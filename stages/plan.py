"""Resolve the baseline and every technique into one plan a run.

Reads  params.yaml, the data set's card.
Writes plans/: road.yaml (the whole road), <run>.yaml for every run known beforehand,
       clips/<run>.yaml, pretrain/<backbone>.yaml, synthesis.yaml, and state.yaml, on which the ladder stands.
"""

from dataclasses import asdict
from pathlib import Path

import typer

from fer_core.clip_track import clip_plans
from fer_core.config import load_params
from fer_core.files import read_json, write_yaml
from fer_core.roadmap import make_road, plans_from
from fer_core.shared_work import pretraining_plan, synthesis_plan
from stages.lib.common import DATA, DEBUG, PLANS, read_params, stage
from stages.lib.store import replace_folder

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    params: Path = Path("params.yaml"),
    card: Path = DATA / "ingest" / "card.json",
    out: Path = PLANS,
    debug: bool = DEBUG,
) -> None:
    """Write one plan for every run, or the reason why it does not apply to these data."""
    loaded = load_params(read_params(params))
    road = make_road(loaded, read_json(card))
    replace_folder(out)
    write_yaml(out / "road.yaml", road)
    plans = plans_from("plans", road, road["baseline"])
    for run, plan in plans.items():
        write_yaml(out / f"{run}.yaml", plan)
    for run, plan in clip_plans(road).items():
        write_yaml(out / "clips" / f"{run}.yaml", plan)
    for backbone in loaded.backbones:
        plan = pretraining_plan(backbone, road, asdict(loaded.identity))
        write_yaml(out / "pretrain" / f"{backbone}.yaml", plan)
    write_yaml(out / "synthesis.yaml", synthesis_plan(road, asdict(loaded.gan)))
    write_yaml(
        out / "state.yaml",
        {"current": None, "validation": None, "recipe": road["baseline"], "kept_rungs": []},
    )
    skipped = {name: t["reason"] for name, t in road["techniques"].items() if not t["applicable"]}
    print(f"{sum(plan['applicable'] for plan in plans.values())} runs planned beside the ladder's own")
    for name, reason in skipped.items():
        print(f"  {name}: not applicable, {reason}")


if __name__ == "__main__":
    app()
