"""Weights named on the hub: which names are ids, which file is taken, and what is said without a network."""

from dataclasses import asdict
from pathlib import Path

import pytest
import timm
import torch
import yaml
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import save_file

from fer_core.config import load_params
from fer_core.errors import ConfigError
from fer_core.pretraining import hub
from fer_core.pretraining.weights import load_backbone
from fer_core.recipe import merged, resolve


@pytest.mark.parametrize(
    ("weights", "is_id"),
    [
        ("hf_hub:org/face_resnet", True),
        ("hf-hub:org/face.resnet@v1.0", True),
        ("hf_hub:no-slash", True),  # meant as one: `fetch` says what is wrong
        ("timm/resnet50.a1_in1k", True),
        ("timm/resnet50.a1_in1k@main", True),
        ("timm/mine.pth", False),
        ("timm/mine.safetensors", False),
        ("weights/face.pth", False),
        ("face", False),
        ("timm/a/b", False),
    ],
)
def test_what_is_an_id(weights, is_id):
    assert hub.is_hub_id(weights) is is_id


def test_a_file_that_exists_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "resnet50").touch()
    assert not hub.is_hub_id("timm/resnet50")


class Hub:
    """Stands in for the download: `files` of a repository in a local folder."""

    def __init__(self, folder, absent=EntryNotFoundError):
        self.folder, self.absent, self.asked = folder, absent, []

    def __call__(self, repository, name, revision=None):
        self.asked.append((repository, name, revision))
        if not (self.folder / name).exists():
            raise self.absent(f"no {name}")
        return str(self.folder / name)


def test_safetensors_first_then_pytorch(tmp_path, monkeypatch):
    stand_in = Hub(tmp_path)
    monkeypatch.setattr(hub, "hf_hub_download", stand_in)
    torch.manual_seed(1)
    source, target = (timm.create_model("test_resnet", num_classes=0) for _ in range(2))
    torch.save(source.state_dict(), tmp_path / "pytorch_model.bin")
    assert hub.fetch("hf_hub:org/face@v2") == tmp_path / "pytorch_model.bin"
    assert stand_in.asked == [("org/face", "model.safetensors", "v2"), ("org/face", "pytorch_model.bin", "v2")]
    assert load_backbone(target, hub.fetch("hf_hub:org/face@v2")).share == 1
    assert target.conv1[0].weight.equal(source.conv1[0].weight)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    stand_in.asked.clear()
    assert hub.fetch("timm/resnet50.a1_in1k") == tmp_path / "model.safetensors"
    assert stand_in.asked == [("timm/resnet50.a1_in1k", "model.safetensors", None)]


def test_what_went_wrong_is_told(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"hf_hub:<organisation>/<name>.*got 'hf_hub:face'"):
        hub.fetch("hf_hub:face")
    monkeypatch.setattr(hub, "hf_hub_download", Hub(tmp_path))
    with pytest.raises(ConfigError, match=r"hf_hub:org/face` holds neither model\.safetensors nor pytorch_model\.bin"):
        hub.fetch("hf_hub:org/face")
    for absent in (LocalEntryNotFoundError, ConnectionError, ValueError):
        monkeypatch.setattr(hub, "hf_hub_download", Hub(tmp_path, absent))
        with pytest.raises(
            ConfigError, match=rf"org/face` from the hub \({absent.__name__}\); without a network, name"
        ):
            hub.fetch("hf-hub:org/face")


def test_without_a_network_the_real_download_fails_plainly(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"Could not fetch `weights: hf_hub:org/no-such-face`.*name a local file"):
        hub.fetch("hf_hub:org/no-such-face")


def test_a_download_that_breaks_off_is_told_whatever_the_client_raises(monkeypatch):
    class ReadTimeout(Exception):  # the client's own errors are no OSErrors
        pass

    def broken(*_, **__):
        raise ReadTimeout

    monkeypatch.setattr(hub, "hf_hub_download", broken)
    with pytest.raises(ConfigError, match=r"hf_hub:org/face.*\(ReadTimeout\)"):
        hub.fetch("hf_hub:org/face")


def test_the_train_stage_starts_from_the_downloaded_file(tmp_path, monkeypatch):
    from stages.lib.training import _initial_weights

    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    monkeypatch.setattr(hub, "hf_hub_download", Hub(tmp_path))
    params = load_params(yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")))

    def recipe(weights):
        choices = merged(asdict(params.choices), {"init": "face", "weights": weights})
        return resolve(choices, params.active_profile, 0).to_dict()

    assert _initial_weights(recipe("hf_hub:org/face"), tmp_path) == tmp_path / "model.safetensors"
    local = tmp_path / "model.safetensors"
    assert _initial_weights(recipe(str(local)), tmp_path / "none") == local
    with pytest.raises(ConfigError, match=r"names timm/mine\.pth, which does not exist"):
        _initial_weights(recipe("timm/mine.pth"), tmp_path)


def test_training_says_what_the_file_brought(tmp_path, capsys):
    from fer_core.labels import RAFCE
    from fer_core.pretraining.weights import save_backbone
    from fer_core.recipe import Recipe
    from fer_core.training.loop import new_model

    params = load_params(yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")))
    recipe: Recipe = resolve(asdict(params.choices), params.active_profile, 0)
    path = tmp_path / "face.safetensors"
    save_backbone(timm.create_model("test_resnet", num_classes=0, in_chans=1), path)
    new_model(recipe, 1, RAFCE, 0, path, pretrained=False)
    said = capsys.readouterr().err
    assert said.startswith(f"first weights from {path}: ") and " tensors, layout timm\n" in said
    new_model(recipe, 1, RAFCE, 0, None, pretrained=False)
    assert capsys.readouterr().err == ""
