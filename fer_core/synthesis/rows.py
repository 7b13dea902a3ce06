"""Synthetic faces as rows of a manifest, flagged `synthetic`."""

import pandas as pd

from fer_core.manifest import attribute_names, au_names, empty_columns, intensity_names
from fer_core.training.faces import FaceSet

SOURCE = "gan"


def synthetic_rows(like: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Return one row a face with the columns of `like` and `synthetic`: only the class, which was asked for, is known.

    `crop_index` counts the faces from 0, in their order.
    """
    count = len(faces)
    columns = {name: column for stage in ("ingest", "align") for name, column in empty_columns(stage, count).items()}
    columns |= {name: pd.Series([None] * count, dtype="str") for name in attribute_names(like)}
    unknown = [*au_names(like), *intensity_names(like)]
    columns |= {name: pd.Series([None] * count, dtype="float32") for name in unknown}
    table = pd.DataFrame(columns)
    table["sample_id"] = faces.ids
    table["source"] = SOURCE
    table["picture"] = [f"faces.npy[{row}]" for row in range(count)]
    table["split"] = "train"
    table["emotion"] = pd.array(faces.labels.tolist(), dtype="Int16")
    table["crop_index"] = pd.array(range(count), dtype="Int32")
    table["synthetic"] = pd.array([True] * count, dtype="boolean")
    return table
