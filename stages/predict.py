"""`fer predict`: what a trained run says of pictures that nobody prepared."""

from pathlib import Path
from typing import Optional

import typer

from stages.lib.common import DEBUG, stage

app = typer.Typer(add_completion=False)
BATCH = 64


@app.command()
@stage
def main(
    run: Path = typer.Argument(..., help="Folder of a trained run, as data/train/baseline."),
    pictures: list[Path] = typer.Argument(..., help="Pictures, or folders of pictures."),
    detector: Optional[str] = typer.Option(  # noqa: UP045
        None, help="mtcnn, yunet or insightface; needed where the run's own faces were cut by annotated landmarks."
    ),
    model: Optional[Path] = typer.Option(None, help="The detector's local model file."),  # noqa: UP045
    csv_file: Optional[Path] = typer.Option(  # noqa: UP045
        None, "--csv", help="Write every probability: picture, reason, the classes, the AUs."
    ),
    debug: bool = DEBUG,
) -> None:
    """Predict the emotion on pictures; their faces are cut as the model's own were."""
    import pandas as pd

    from fer_core.datasets.safe_paths import walk_pictures
    from fer_core.errors import DataError
    from fer_core.files import write_text
    from fer_core.prediction import Predictor

    files: list[Path] = []
    for path in pictures:
        if not path.exists():
            raise DataError(f"{path} does not exist; expected a picture or a folder of pictures.")
        files += walk_pictures(path)[0] if path.is_dir() else [path]
    if not files:
        raise DataError(f"No picture is in {', '.join(str(path) for path in pictures)}.")
    predict = Predictor(run, detector, model)
    rows: list[dict[str, object]] = []
    for start in range(0, len(files), BATCH):
        part = files[start : start + BATCH]
        for path, answer in zip(part, predict([item.read_bytes() for item in part]), strict=True):
            if isinstance(answer, str):
                rows.append({"picture": str(path), "reason": answer})
                print(f"{path}: {answer}")
                continue
            classes, aus = answer
            best = int(classes.argmax())
            active = [name for name, value in zip(predict.au_names, aus, strict=True) if value >= 0.5]
            print(f"{path}: {predict.classes[best]} {classes[best]:.0%}{'  ' + ' '.join(active) if active else ''}")
            named = dict(zip([*predict.classes, *predict.au_names], [*classes.tolist(), *aus.tolist()], strict=True))
            rows.append({"picture": str(path), "reason": None} | named)
    if csv_file:
        columns = ["picture", "reason", *predict.classes, *predict.au_names]
        write_text(csv_file, pd.DataFrame(rows, columns=columns).to_csv(index=False))


if __name__ == "__main__":
    app()
