"""Write the data card: what the data are, hold, lack, and cannot tell, on one page.

Reads  data/ingest/card.json and leakage.json where there is one, data/join_aus/manifest.parquet and aus.json,
       data/align/faces.npy; of the test split nothing but how many pictures it has.
Writes reports/data.html, which needs no network and no other file.

The page holds train faces with their labels: it goes where the data may go, and no further.
"""

from pathlib import Path

import typer

from stages.lib.common import DATA, DEBUG, REPORTS, stage

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    card_file: Path = typer.Option(DATA / "ingest" / "card.json", "--card", help="What the data are."),
    leakage: Path = typer.Option(DATA / "ingest" / "leakage.json", help="What the leakage guard found."),
    manifest: Path = typer.Option(DATA / "join_aus" / "manifest.parquet", help="Pictures, splits, crops, AUs."),
    aus_file: Path = typer.Option(DATA / "join_aus" / "aus.json", "--aus", help="What the AU labels are."),
    faces: Path = typer.Option(DATA / "align" / "faces.npy", help="The aligned faces."),
    out: Path = typer.Option(REPORTS / "data.html", help="The page to write."),
    debug: bool = DEBUG,
) -> None:
    """Write the data card."""
    import numpy as np

    from fer_core.datasets.card_page.content import Content
    from fer_core.datasets.data_card import data_card
    from fer_core.datasets.registry import DATASETS
    from fer_core.errors import DataError
    from fer_core.files import BROKEN, read_json, write_text
    from fer_core.manifest import read_manifest

    card, aus, table = read_json(card_file), read_json(aus_file), read_manifest(manifest)
    try:
        crops = np.load(faces, mmap_mode="r")
    except FileNotFoundError:
        raise DataError(f"{faces} does not exist; the align stage has not run.") from None
    except BROKEN as error:
        raise DataError(f"{faces} is not a readable array: {error}.") from None
    content = Content(
        card=card,
        table=table,
        aus=aus,
        faces=crops,
        infos={name: entry.info for name, entry in DATASETS.items()},
        leakage=read_json(leakage) if leakage.exists() else None,
    )
    write_text(out, data_card(content))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    app()
