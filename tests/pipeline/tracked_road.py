"""A finished road as files, for the tests of `track`: real table code, made-up scores."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from fer_core.evaluation.gains import gain_rows, standing
from fer_core.evaluation.head import summarise
from fer_core.evaluation.paired import METRICS, Comparison, Interval
from fer_core.evaluation.table import markdown
from fer_core.files import write_json, write_text, write_yaml

CLASSES = [f"emotion_{index}" for index in range(14)]
TECHNIQUES = {  # phase, title, claimed, kind
    "au_multitask": (1, "AU multi-task", [10, 20], "recipe"),
    "attention": (1, "Attention", [3, 8], "recipe"),
    "face_pretraining": (1, "Face pretraining", [5, 10], "recipe"),
    "vit": (2, "ViT", [5, 12], "recipe"),
    "augmentation": (2, "Face-aware augmentation + MixUp", [2, 5], "recipe"),
    "imbalance": (2, "Imbalance", [5, 10], "recipe"),
    "votes": ("beyond", "Votes", None, "recipe"),
    "ensemble": (3, "Ensemble", [3, 7], "ensemble"),
    "tta": (3, "Test-time augmentation", [1, 3], "tta"),
    "self_supervised": (3, "Self-supervised", [5, 10], "recipe"),
    "temporal": (None, "Temporal", [10, 20], "temporal"),
}
DROPPED = "attention"
CEILING = {"accuracy": 0.95, "macro_f1": 0.9}
SMALL = ("au_multitask", "attention", "tta")
MEMBERS = ("current", "resnet", "vit", "efficientnet")


class Road:
    """Writes the folders that `track` reads under `root`; `loss` is the baseline's, as in `-S loss=cb`.

    A small road has three techniques instead of eleven.
    """

    def __init__(self, root: Path, loss: str = "ce", epochs: int = 2, small: bool = True) -> None:
        self.root, self.loss, self.data, self.epochs = root, loss, "standin", epochs
        self.techniques = {name: TECHNIQUES[name] for name in SMALL} if small else TECHNIQUES
        self.runs: dict[str, dict] = {}
        self.states: dict[str, dict] = {}
        self.road = self._road()

    def write(self) -> "Road":
        self._predictor("train/baseline")
        reference = "train/baseline"
        for name, (phase, _, _, kind) in self.techniques.items():
            if phase is None:
                continue
            alone, candidate = self._alone(name), self._candidate(name)
            if kind == "ensemble":
                for member in MEMBERS:
                    self._predictor(f"train/base-{member}")
                    self._predictor(f"train/member-{member}")
            self._predictor(alone)
            self._predictor(candidate, made_as=alone if name == "au_multitask" else None)
            kept = name != DROPPED
            self.states[name] = {
                "rung": name,
                "applicable": True,
                "reason": None,
                "kept": kept,
                "candidate": candidate,
                "reference": reference,
                "current": candidate if kept else reference,
            }
            reference = self.states[name]["current"]
        rows = gain_rows(self.road, self.states, self.runs, self._compare, self._score)
        summary = summarise(rows, standing(self.road, self.states), self._compare, self._score, CEILING)
        write_yaml(self.root / "plans" / "road.yaml", self.road)
        write_json(self.root / "metrics" / "runs.json", self.runs)
        write_json(self.root / "metrics" / "gains.json", rows)
        write_json(self.root / "metrics" / "summary.json", summary)
        write_json(self.root / "metrics" / "slices.json", [])
        write_json(self.root / "metrics" / "synthesis.json", {"state": "not_needed"})
        write_text(self.root / "reports" / "gains.md", markdown(rows, summary, self.road, self.road["notes"]))
        Image.new("RGB", (8, 8)).save(self.root / "reports" / "ladder.png")
        return self

    def _road(self) -> dict:
        techniques = {
            name: {
                "phase": phase,
                "title": title,
                "claimed": claimed,
                "kind": kind,
                "source": "the roadmap",
                "applicable": phase is not None,
                "reason": None if phase is not None else "no clips",
                "alone": self._alone(name) if phase is not None else None,
                "reference_alone": "train/baseline",
                "candidate": self._candidate(name) if phase is not None else None,
            }
            for name, (phase, title, claimed, kind) in self.techniques.items()
        }
        phases = {
            "1": {"title": "quick wins", "from": 55, "to": 65, "claimed": [10, 10]},
            "2": {"title": "advanced techniques", "from": 65, "to": 75, "claimed": [10, 10]},
            "beyond": {"title": "Beyond the roadmap", "from": None, "to": None, "claimed": None},
            "3": {"title": "final optimizations", "from": 75, "to": 80, "claimed": [5, None]},
        }
        return {
            "data": self.data,
            "profile": "demo",
            "notes": ["generated faces, not people"],
            "phases": phases,
            "techniques": techniques,
            "baseline": {"loss": self.loss},
            "seed": 0,
        }

    @staticmethod
    def _alone(name: str) -> str:
        return {"ensemble": "stack/alone", "tta": "tta/baseline"}.get(name, f"train/alone-{name}")

    @staticmethod
    def _candidate(name: str) -> str:
        other = {"ensemble": "stack/ladder", "tta": "tta/ladder", "self_supervised": "tta/final"}
        return other.get(name, f"train/ladder-{name}")

    def _chance(self, predictor: str) -> np.random.Generator:
        digest = hashlib.sha256(f"{predictor} {self.loss} {self.data}".encode()).digest()
        return np.random.default_rng(list(digest))

    def _predictor(self, predictor: str, made_as: str | None = None) -> None:
        chance = self._chance(made_as or predictor)
        folder = self.root / "data" / predictor
        kind = predictor.partition("/")[0]
        status = {
            "state": "done",
            "reason": None,
            "train_seconds": round(float(chance.uniform(20, 90)), 3) if kind == "train" else 0.0,
            "pretrain_seconds": 0.0,
            "fingerprint": chance.bytes(8).hex(),
            "converged": bool(chance.random() > 0.2),
            "epochs": self.epochs if kind == "train" else 0,
            "best_epoch": self.epochs - 2 if kind == "train" else None,
            "parameters": 123456,
            "train_accuracy": 0.81,
        }
        write_json(folder / "status.json", status)
        write_text(folder / "predictions.parquet", "not read by track")
        if kind == "train":
            recipe = {"loss": self.loss, "backbone": "resnet", "seed": 0, "ssl": {"method": "none", "epochs": 3}}
            write_yaml(folder / "recipe.yaml", recipe)
            write_json(folder / "labels.json", {"classes": ["a", "b"], "vote_names": None, "au_names": []})
            write_json(folder / "alignment.json", {"detector": "none"})
            write_json(folder / "history.json", [self._epoch(epoch, chance) for epoch in range(1, self.epochs + 1)])
            save_file({"weight": chance.random((4, 4)).astype(np.float32)}, str(folder / "weights.safetensors"))
        if kind == "stack":
            write_json(folder / "weights.json", {"method": "weighted", "members": ["train/baseline"], "weights": {}})
        self.runs[predictor] = status | {
            "validation": {"accuracy": 0.5, "macro_f1": 0.4, "n": 931},
            "test": self._test(chance),
            "alarms": [] if status["converged"] else ["not converged: still improving at the last epoch"],
        }

    @staticmethod
    def _epoch(epoch: int, chance: np.random.Generator) -> dict:
        names = ("loss", "accuracy")
        entry = {f"{split}_{name}": float(chance.random()) for split in ("train", "validation") for name in names}
        figures = {"validation_macro_f1": 0.4, "validation_uar": 0.4, "learning_rate": 1e-3, "seconds": 2.0}
        return {"epoch": epoch, **entry, **figures, "validation_au_f1": None}

    @staticmethod
    def _test(chance: np.random.Generator) -> dict:
        confusion = chance.integers(0, 8, (14, 14)) + np.diag(chance.integers(20, 60, 14))
        recall = np.diag(confusion) / confusion.sum(1)
        return {
            "accuracy": float(np.trace(confusion) / confusion.sum()),
            "uar": float(recall.mean()),
            "macro_f1": float(recall.mean()) - 0.01,
            "uar_common": float(recall.mean()),
            "macro_f1_common": float(recall.mean()) - 0.01,
            "classes_common": 14,
            **{"nll_scaled": 1.4, "ece": 0.2, "ece_scaled": 0.1},
            "n": int(confusion.sum()),
            "classes_present": 14,
            "nll": 1.5,
            "au_f1": None,
            "confusion": confusion.tolist(),
            "per_class": {
                name: {"recall": float(r), "f1": float(r), "support": int(n)}
                for name, r, n in zip(CLASSES, recall, confusion.sum(1), strict=True)
            },
        }

    def _score(self, predictor: str, metric: str) -> Interval:
        value = self.runs[predictor]["test"][metric]
        return Interval(value, value - 0.03, value + 0.03)

    def _compare(self, candidate: str, reference: str) -> Comparison:
        def points(metric: str) -> Interval:
            gain = 100 * (self.runs[candidate]["test"][metric] - self.runs[reference]["test"][metric])
            return Interval(gain, gain - 2.5, gain + 2.5)

        gains = {metric: points(metric) for metric in METRICS}
        return Comparison(**gains, p_value=0.01234567, only_candidate=40, only_reference=20, seeds=1)
