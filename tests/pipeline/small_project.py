"""A repository in miniature, from the join of AUs on: faces that a tiny network tells apart, and the real wiring."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from fer_core.faces.alignment import Alignment, write_alignment
from fer_core.files import write_json
from fer_core.manifest import empty_columns, write_manifest

ROOT = Path(__file__).parents[2]
SIZE = 32
CLASSES = ["anger", "fear", "joy", "calm"]
COUNTS = {"train": 32, "validation": 24, "test": 20, "pool": 64}


class Project:
    """Files in `root` as the stages before training leave them."""

    def __init__(self, root: Path, *, pool: bool = True) -> None:
        self.root = root
        counts = COUNTS if pool else {split: n for split, n in COUNTS.items() if split != "pool"}
        splits = np.repeat(list(counts), list(counts.values()))
        order = np.arange(len(splits))
        table = pd.DataFrame(empty_columns("ingest", len(splits)) | empty_columns("align", len(splits)))
        table["sample_id"] = [f"s{row:03d}" for row in order]
        table["source"], table["picture"], table["split"] = "made up", table["sample_id"] + ".png", splits
        labels = order % len(CLASSES)
        labelled = np.isin(splits, ["train", "validation"])
        table["emotion"] = pd.array(np.where(labelled, labels, -1), dtype="Int16")
        table.loc[~labelled, "emotion"] = pd.NA
        table["subject"] = [f"p{row // 4}" for row in order]
        table["crop_index"] = pd.array(order, dtype="Int32")
        self.table, self.splits = table, splits
        self.pixels = self._draw(labels)
        aus = {"AU1": labels < 2, "AU4": labels == 3}
        annotated = labelled & (order % 3 > 0)
        joined = table.assign(**{name: np.where(annotated, on, np.nan).astype(np.float32) for name, on in aus.items()})
        write_manifest(root / "data/align/manifest.parquet", table, "align", len(CLASSES))
        write_manifest(root / "data/join_aus/manifest.parquet", joined, "join_aus", len(CLASSES))
        write_json(root / "data/join_aus/aus.json", {"names": list(aus)})
        card: dict[str, Any] = {"data": "made up", "classes": CLASSES, "aus": True, "identities": True, "clips": False}
        train = {name: int((labels[splits == "train"] == k).sum()) for k, name in enumerate(CLASSES)}
        card |= {"intensities": False, "votes": False, "vote_names": None, "counts": {"train": train}}
        write_json(root / "data/ingest/card.json", card | {"notes": []})
        whole = Alignment("none", "central", "whole", 1.0, 0.0, SIZE, self.pixels.shape[-1] == 1)
        write_alignment(root / "data/align/alignment.json", whole)
        self.save_pixels()
        self.write_params()

    def _draw(self, labels: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(0)
        patterns = rng.integers(0, 256, (len(CLASSES), 4, 4, 1))
        blocks = patterns[labels].repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)
        noisy: np.ndarray = np.clip(blocks + rng.normal(0, 40, blocks.shape), 0, 255).astype(np.uint8)
        return noisy

    def save_pixels(self) -> None:
        np.save(self.root / "data/align/faces.npy", self.pixels)

    def scramble(self, *splits: str) -> None:
        """Show other pictures in these splits."""
        rows = np.isin(self.splits, splits)
        self.pixels[rows] = 255 - self.pixels[rows]
        self.save_pixels()

    def write_params(self, **changes: Any) -> None:
        """The real params.yaml, comments and all, under the smoke profile and with short trainings."""
        text = (ROOT / "params.yaml").read_text(encoding="utf-8")
        for key, value in {"profile": "smoke", "epochs": 3, "precision": "fp32", **changes}.items():
            text = re.sub(rf"(?m)^{key}: *\S+", f"{key}: {value}", text, count=1)
        (self.root / "params.yaml").write_text(text, encoding="utf-8")

    def params(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.root / "params.yaml").read_text(encoding="utf-8"))
        return found
