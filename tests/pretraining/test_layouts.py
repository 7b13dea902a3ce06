"""Published layouts in files: recognised, translated, told apart, and nothing but arrays is read."""

import pickle
import sys

import h5py
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from fer_core.errors import ConfigError
from fer_core.models.iresnet import IResNet
from fer_core.pretraining.layouts import LAYOUTS, translate
from fer_core.pretraining.layouts.keras import read_h5
from fer_core.pretraining.layouts.vggface2 import is_caffes
from fer_core.pretraining.weights import load_backbone, read_tensors, save_backbone


def same(one, other):
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(left[key].equal(right[key]) for key in left)


def network(name, **args):
    with torch.device("meta"):  # shapes alone
        return timm.create_model(name, num_classes=0, **args)


# --- telling layouts apart -------------------------------------------------------------------------------------


def small_iresnet(seed):
    torch.manual_seed(seed)
    return IResNet((1, 1, 1, 1))


@pytest.mark.parametrize("prefix", ["", "module.", "backbone."])
def test_iresnet_files_load_and_say_what_they_brought(tmp_path, prefix):
    source, target = small_iresnet(1), small_iresnet(2)
    state = {prefix + name: value for name, value in source.state_dict().items()}
    torch.save(state | {"kernel": torch.zeros(512, 10)}, tmp_path / "backbone.pth")
    report = load_backbone(target, tmp_path / "backbone.pth")
    assert same(source, target)
    # 6 of the stem, 4 · (15 + 5) of the units, 4 + 2 + 4 behind them
    assert str(report) == "96 of 96 tensors, layout insightface iresnet; unexpected (1) kernel"


def test_our_own_saved_backbones_keep_their_tensors_as_they_are(tmp_path):
    torch.manual_seed(1)
    source = timm.create_model("caffe_resnet50", num_classes=0)
    save_backbone(source, tmp_path / "identity.safetensors")
    target = timm.create_model("caffe_resnet50", num_classes=0)
    report = load_backbone(target, tmp_path / "identity.safetensors")
    assert same(source, target) and report.layout == "timm" and report.share == 1


def test_an_iresnet_file_is_refused_by_a_resnet_that_most_of_it_would_fit(tmp_path):
    file = network("iresnet34").state_dict()
    resnet = timm.create_model("resnet34", num_classes=0)
    fitting = [name for name, value in resnet.state_dict().items() if name in file and file[name].shape == value.shape]
    assert len(fitting) / len(resnet.state_dict()) > 0.9, "by the share alone it would be loaded"
    before = {name: value.clone() for name, value in resnet.state_dict().items()}
    with pytest.raises(ConfigError, match=r"w\.pth has the layout insightface.*ResNet does not.*iresnet18, iresnet34"):
        translate(file, resnet, "w.pth")
    torch.save({name: torch.zeros(value.shape) for name, value in file.items()}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match="layout insightface"):
        load_backbone(resnet, tmp_path / "w.pth")
    assert all(value.equal(before[name]) for name, value in resnet.state_dict().items())


def test_caffes_weights_are_refused_by_a_resnet_with_other_strides():
    caffe = {"conv1_7x7_s2.weight": torch.zeros(64, 3, 7, 7), "conv2_1_1x1_reduce.weight": torch.zeros(64, 64, 1, 1)}
    for name in ("resnet50", "seresnet50", "resnet18", "test_vit", "legacy_seresnet50"):
        with pytest.raises(ConfigError, match=r"layout VGGFace2.*expected `backbone` to be caffe_resnet50 or"):
            translate(caffe, network(name), "w.pth")
    assert network("legacy_seresnet50").layer2[0].conv1.stride == (2, 2), "Caffe's strides, but not its pictures' range"
    for name in ("caffe_resnet50", "caffe_senet50"):
        assert is_caffes(network(name))
        assert len(translate(caffe, network(name), "w.pth")[0]) == 2


def test_torchvisions_names_are_the_bgr_port_only_with_vggface2s_people():
    stem = {"conv1.weight": torch.rand(64, 3, 7, 7), "layer1.0.conv3.weight": torch.rand(256, 64, 1, 1)}
    backbone = network("caffe_resnet50")
    for people, turned in ((8631, True), (1000, False), (None, False)):
        state = dict(stem) if people is None else stem | {"fc.weight": torch.zeros(people, 2048)}
        tensors, layout = translate(state, backbone, "w.pth")
        assert tensors["conv1.weight"].equal(stem["conv1.weight"].flip(1) if turned else stem["conv1.weight"])
        assert ("BGR" in layout) is turned
        assert tensors["layer1.0.conv3.weight"].equal(stem["layer1.0.conv3.weight"])
    with pytest.raises(ConfigError, match="VGGFace2"):
        translate(stem | {"fc.weight": torch.zeros(8631, 2048)}, network("resnet50"), "w.pth")


def test_every_layout_is_recognised_by_its_own_rule_alone():
    files = {
        "insightface": network("iresnet18").state_dict(),
        "facenet": network("inception_resnet_v1").state_dict(),
        "vggface2": {"module.conv1_7x7_s2.weight": torch.zeros(1), "module.conv2_1_1x1_reduce.weight": torch.zeros(1)},
        "vggface2_bgr": dict.fromkeys(
            ("conv1.weight", "layer1.0.conv4.weight", "layer1.0.conv5.weight"), torch.zeros(1, 3)
        ),
        "deepface": dict.fromkeys(("C1/kernel", "L4/kernel", "F7/kernel"), torch.zeros(1)),
        "huggingface": dict.fromkeys(
            ("vit.embeddings.cls_token", "vit.embeddings.patch_embeddings.projection.weight"), torch.zeros(1)
        ),
        "swin": {"module.layers.0.downsample.reduction.weight": torch.zeros(1)},
        "timm": network("resnet50").state_dict()
        | network("test_vit").state_dict()
        | network("swin_tiny_patch4_window7_224").state_dict()
        | network("convnext_tiny").state_dict(),
    }
    assert files.keys() - {"timm"} == LAYOUTS.keys()
    for name, state in files.items():
        assert [key for key, layout in LAYOUTS.items() if layout.recognise(state)] == ([] if name == "timm" else [name])


# --- what is said ----------------------------------------------------------------------------------------------


def test_the_report_names_the_first_of_each_kind(tmp_path):
    source = timm.create_model("test_resnet", num_classes=0)
    state = {name: value for name, value in source.state_dict().items() if not name.endswith("num_batches_tracked")}
    gone = list(state)[1:3]  # the first convolution must be there
    total = len(state)
    for name in gone:
        del state[name]
    state |= {"fc.weight": torch.zeros(7, 96), "fc.bias": torch.zeros(7)}
    state |= {f"extra{number}.weight": torch.zeros(1) for number in range(4)}
    save_file(state, tmp_path / "w.safetensors")
    report = load_backbone(timm.create_model("test_resnet", num_classes=0), tmp_path / "w.safetensors")
    assert sorted(report.classifier) == ["fc.bias", "fc.weight"]
    text = str(report)
    assert text.startswith(f"{total - 2} of {total} tensors, layout timm; missing (2) {gone[0]}, {gone[1]}; ")
    assert "skipped classifier (2) fc." in text
    assert text.endswith("unexpected (4) extra0.weight, extra1.weight, extra2.weight ...")


def test_the_refusal_names_what_is_missing_and_what_was_not_used(tmp_path):
    save_file({"a.weight": torch.zeros(1), "b.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(
        ConfigError, match=r"fits only 0 .*conv1\.0\.weight, .* \.\.\..*not used: a\.weight, b\.weight\.$"
    ):
        load_backbone(timm.create_model("test_resnet", num_classes=0), tmp_path / "w.safetensors")


def test_pickles_of_arrays_as_some_ports_publish_them_are_refused(tmp_path):
    with (tmp_path / "resnet50_ft_weight.pkl").open("wb") as file:
        pickle.dump({"conv1.weight": np.zeros((64, 3, 7, 7))}, file, protocol=2)
    with pytest.raises(
        ConfigError, match=r"resnet50_ft_weight\.pkl is not a file of tensors only.*pickles of anything"
    ):
        load_backbone(network("caffe_resnet50"), tmp_path / "resnet50_ft_weight.pkl")


# --- Keras' HDF5 -----------------------------------------------------------------------------------------------


def keras_file(path, network, root=""):
    """Write random weights of a DeepFace in the layout that `model.save_weights` writes."""
    draw = np.random.default_rng(0)
    sides = {"L4": network.L4.side, "L5": network.L5.side, "L6": network.L6.side}
    shapes = {
        "C1": ((11, 11, 3, 32), (32,)),
        "C3": ((9, 9, 32, 16), (16,)),
        "L4": ((sides["L4"] ** 2, 81 * 16, 16), (sides["L4"], sides["L4"], 16)),
        "L5": ((sides["L5"] ** 2, 49 * 16, 16), (sides["L5"], sides["L5"], 16)),
        "L6": ((sides["L6"] ** 2, 25 * 16, 16), (sides["L6"], sides["L6"], 16)),
        "F7": ((sides["L6"] ** 2 * 16, network.head_hidden_size), (network.head_hidden_size,)),
        "F8": ((network.head_hidden_size, 8631), (8631,)),
    }
    with h5py.File(path, "w") as file:
        top = file.create_group(root) if root else file
        top.attrs["layer_names"] = [name.encode() for name in ("I0", *shapes, "D0")]
        top.create_group("M2")
        for name, (kernel, bias) in shapes.items():
            top[f"{name}/{name}/kernel:0"] = draw.standard_normal(kernel, dtype=np.float32)
            top[f"{name}/{name}/bias:0"] = draw.standard_normal(bias, dtype=np.float32)
        file["optimizer_weights/training/SGD/C1/kernel:0"] = np.zeros((11, 11, 3, 32), np.float32)
        file["optimizer_weights/SGD/iter:0"] = np.int64(3)


@pytest.mark.parametrize("root", ["", "model_weights"])
def test_deepface_loads_from_kerass_file(tmp_path, root):
    target = timm.create_model("deepface", img_size=76, hidden=8)
    keras_file(tmp_path / "w.h5", target, root)
    report = load_backbone(target, tmp_path / "w.h5")
    assert str(report) == "12 of 12 tensors, layout DeepFace (Keras); skipped classifier (2) F8/bias, F8/kernel"
    with h5py.File(tmp_path / "w.h5") as file:
        top = file[root] if root else file
        kernel = torch.from_numpy(top["C1/C1/kernel:0"][()])
        places = torch.from_numpy(top["L5/L5/kernel:0"][()])
        linear = torch.from_numpy(top["F7/F7/kernel:0"][()])
    assert target.C1.weight[5, 2, 3, 4] == kernel[3, 4, 2, 5]
    # place 7 of L5, row 2, column 3, input 4, output 9
    assert target.L5.weight[7, 4 * 49 + 2 * 7 + 3, 9] == places[7, (2 * 7 + 3) * 16 + 4, 9]
    # F7 reads row 1, column 0, channel 6 of L6's 2 x 2 map
    assert target.F7.weight[5, 6 * 4 + 1 * 2 + 0] == linear[(1 * 2 + 0) * 16 + 6, 5]


def test_deepface_weights_belong_to_one_picture_size(tmp_path):
    keras_file(tmp_path / "w.h5", timm.create_model("deepface", img_size=76, hidden=8))
    other = timm.create_model("deepface", img_size=72, hidden=8)
    with pytest.raises(ConfigError, match=r"w\.h5 fits only 5 of the backbone's 12 tensors .*L4\.weight"):
        load_backbone(other, tmp_path / "w.h5")
    with pytest.raises(ConfigError, match=r"layout DeepFace .*expected `backbone` to be deepface"):
        load_backbone(timm.create_model("test_resnet", num_classes=0), tmp_path / "w.h5")


def test_grey_pictures_take_the_sum_of_the_colours(tmp_path):
    keras_file(tmp_path / "w.h5", timm.create_model("deepface", img_size=76, hidden=8))
    grey = timm.create_model("deepface", img_size=76, hidden=8, in_chans=1)
    assert load_backbone(grey, tmp_path / "w.h5").share == 1
    with h5py.File(tmp_path / "w.h5") as file:
        kernel = torch.from_numpy(file["C1/C1/kernel:0"][()])
    torch.testing.assert_close(grey.C1.weight.detach()[:, 0], kernel.sum(2).permute(2, 0, 1))


def test_hdf5_reads_arrays_of_this_file_only(tmp_path):
    np.zeros(8, np.float32).tofile(tmp_path / "secret.bin")
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("C1/kernel:0", (8,), np.float32, external=[(str(tmp_path / "secret.bin"), 0, 32)])
    with pytest.raises(ConfigError, match=r"external\.h5 keeps C1/kernel:0 in another file"):
        read_h5(tmp_path / "external.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["C1/kernel:0"] = np.ones(2, np.float32)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["C1/bias:0"] = np.ones(3, np.float64)
        file["C1/name:0"] = "text"
        file["C3"] = h5py.ExternalLink("other.h5", "C1")
    found = read_h5(tmp_path / "link.h5")
    assert list(found) == ["C1/bias"] and found["C1/bias"].dtype == torch.float32


def test_hdf5_faults_are_told(tmp_path, monkeypatch):
    (tmp_path / "w.h5").write_bytes(b"no such thing")
    with pytest.raises(ConfigError, match=r"w\.h5 is not an HDF5 file"):
        read_tensors(tmp_path / "w.h5")
    with pytest.raises(ConfigError, match=r"none\.h5 does not exist"):
        read_tensors(tmp_path / "none.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r'pip install "fer-road\[deepface\]"'):
        read_tensors(tmp_path / "w.h5")
