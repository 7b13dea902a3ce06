"""What a run's first weights went through is told with the run: to MLflow, to the curves and to the alarms."""

from pathlib import Path

from fer_core.files import write_json
from stages.lib.training import _pretraining
from stages.page import _before
from stages.tracking.runs import curves_of

SSL = [{"epoch": 1, "loss": 2.0, "knn_uar": None}, {"epoch": 2, "loss": 1.0, "knn_uar": 0.5, "probe_uar": 0.25}]
IDENTITY = [{"epoch": 1, "loss": 9.0}]


def test_first_weights_bring_their_own_history(tmp_path: Path) -> None:
    histories = {"ssl": SSL, "identity": IDENTITY, "ssl_identity": IDENTITY}
    assert _pretraining(None) == _pretraining(tmp_path / "face.safetensors") == {}
    write_json(tmp_path / "history.json", histories)
    assert _pretraining(tmp_path / "ssl.safetensors") == {"ssl": SSL}
    assert _pretraining(tmp_path / "identity.safetensors") == {"identity": IDENTITY}
    assert _pretraining(tmp_path / "ssl_identity.safetensors") == {"ssl": SSL, "ssl_identity": IDENTITY}
    assert _pretraining(tmp_path / "face.safetensors") == {}


def test_mlflow_gets_its_curves_beside_the_runs_own(tmp_path: Path) -> None:
    write_json(tmp_path / "history.json", [{"epoch": 1, "validation_loss": 3.0}])
    assert curves_of(tmp_path) == [("validation_loss", 3.0, 1)]
    write_json(tmp_path / "pretraining.json", {"ssl": SSL, "ssl_identity": IDENTITY})
    assert sorted(curves_of(tmp_path)) == [
        ("pretrain/ssl/knn_uar", 0.5, 2),
        ("pretrain/ssl/loss", 1.0, 2),
        ("pretrain/ssl/loss", 2.0, 1),
        ("pretrain/ssl/probe_uar", 0.25, 2),
        ("pretrain/ssl_identity/loss", 9.0, 1),
        ("validation_loss", 3.0, 1),
    ]


def test_the_learning_curves_get_the_probes_at_epochs_that_end_at_0(tmp_path: Path) -> None:
    assert _before(tmp_path) == []
    write_json(tmp_path / "pretraining.json", {"identity": IDENTITY})
    assert _before(tmp_path) == []
    write_json(tmp_path / "pretraining.json", {"ssl": SSL})
    assert _before(tmp_path) == [
        {"epoch": -1, "knn_uar": None, "probe_uar": None},
        {"epoch": 0, "knn_uar": 0.5, "probe_uar": 0.25},
    ]
