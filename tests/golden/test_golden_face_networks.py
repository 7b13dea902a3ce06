"""Networks of published face weights: as naive functions of the published tensors, and against facenet-pytorch."""

import math
import re

import facenet_pytorch
import numpy as np
import pytest
import timm
import torch
from torch.nn import functional

from fer_core.errors import ConfigError
from fer_core.models import build_encoder
from fer_core.models.backbone import FACE_NETWORKS, input_statistics
from fer_core.models.deepface import LocallyConnected2d
from fer_core.models.inception_resnet_v1 import InceptionResnetV1
from fer_core.models.iresnet import IResNet
from fer_core.pretraining.layouts import translate
from fer_core.pretraining.weights import load_backbone


def randomise(module, seed=0):
    """Draw norms' statistics and scales too, which a fresh network has at 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_mean"):
            tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
        elif name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        elif tensor.ndim == 1:
            tensor.copy_(0.5 + 0.5 * torch.rand(tensor.shape, generator=generator))
    return module.eval()


def norm(x, state, name, eps=1e-5):
    """Normalise with running statistics, written out."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, var, weight, bias = (
        state[f"{name}.{part}"].reshape(shape) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + eps).sqrt() * weight + bias


# --- all of them -----------------------------------------------------------------------------------------------

SMALL = {"deepface": (76, {"hidden": 24}), "inception_resnet_v1": (80, {})}


@pytest.mark.parametrize("name", sorted(set(FACE_NETWORKS) - {"iresnet34", "iresnet50", "iresnet100"}))
def test_they_work_as_any_timm_network_does(name):
    size, args = SMALL.get(name, (64, {}))
    assert timm.is_model(name)
    encoder = build_encoder(timm_name=name, model_args=args, in_chans=1, size=size, attention="cbam")
    pictures = torch.rand(2, 1, size, size)
    features = encoder(pictures)  # training mode
    assert features.shape == (2, encoder.num_features) and features.isfinite().all()
    features.square().sum().backward()
    assert all(item.grad is not None and item.grad.isfinite().all() for item in encoder.parameters())
    single = encoder.eval()(pictures[:1])
    assert single.shape == (1, encoder.num_features) and single.isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder(pictures[:1]).isfinite().all()


@pytest.mark.parametrize("name", FACE_NETWORKS)
def test_layer_decay_reaches_every_layer_in_its_order(name):
    from timm.optim import param_groups_layer_decay

    with torch.device("meta"):
        network = timm.create_model(name)
    scale = {}
    for group in param_groups_layer_decay(network, 0.05, layer_decay=0.5):
        scale |= {id(item): group["lr_scale"] for item in group["params"]}
    scales = [scale[id(item)] for item in network.parameters()]
    assert len(set(scales)) >= 6 and scales == sorted(scales), "parameters stand in the order of the layers"


def test_inputs_are_normalised_as_the_publishers_did():
    def seen(name):
        with torch.device("meta"):
            network = timm.create_model(name)
        mean, std = input_statistics(network, 3)
        return [(value - mean) / std for value in (0.0, 1.0, 0.4)]

    low, high, _ = seen("iresnet18")
    assert low.tolist() == [-1, -1, -1] and high.tolist() == [1, 1, 1]
    low, high, middle = seen("inception_resnet_v1")
    for value, byte in ((low, 0), (high, 255), (middle, 102)):
        expected = facenet_pytorch.fixed_image_standardization(torch.full((3,), float(byte)))
        torch.testing.assert_close(value, expected)
    low, high, _ = seen("deepface")
    assert low.tolist() == [0, 0, 0] and high.tolist() == [1, 1, 1]
    for name in ("caffe_resnet50", "caffe_senet50"):
        low, high, _ = seen(name)
        assert low.tolist() == pytest.approx([-131.0912, -103.8827, -91.4953], abs=1e-3)
        assert (high - low).tolist() == pytest.approx([255.0] * 3, abs=1e-3)


def test_they_have_neither_a_classifier_nor_weights_to_download():
    with pytest.raises(ValueError, match="no classifier; got num_classes 7"):
        timm.create_model("iresnet18", num_classes=7)
    with pytest.raises(ConfigError, match=r"deepface.*71 px or more; got 64 x 64"):
        build_encoder(timm_name="deepface", model_args={}, in_chans=3, size=64)
    with pytest.raises(ConfigError, match=r"could not build 'iresnet18'.*[Nn]o pretrained weights"):
        build_encoder(timm_name="iresnet18", model_args={}, in_chans=3, size=64, pretrained=True)


# --- iresnet ---------------------------------------------------------------------------------------------------


def naive_iresnet(x, state):
    def conv(x, name, stride, padding):
        return functional.conv2d(x, state[f"{name}.weight"], stride=stride, padding=padding)

    def prelu(x, name):
        slope = state[f"{name}.weight"].reshape(1, -1, 1, 1)
        return x.clamp(min=0) + slope * x.clamp(max=0)

    x = prelu(norm(conv(x, "conv1", 1, 1), state, "bn1"), "prelu")
    units = sorted({match.group() for name in state if (match := re.match(r"layer\d\.\d+", name))})
    for unit in units:
        stride = 2 if unit.endswith(".0") else 1
        inside = norm(x, state, f"{unit}.bn1")
        inside = prelu(norm(conv(inside, f"{unit}.conv1", 1, 1), state, f"{unit}.bn2"), f"{unit}.prelu")
        inside = norm(conv(inside, f"{unit}.conv2", stride, 1), state, f"{unit}.bn3")
        if stride == 2:
            x = norm(conv(x, f"{unit}.downsample.0", 2, 0), state, f"{unit}.downsample.1")
        x = x + inside
    x = norm(x, state, "bn2").flatten(1)
    return norm(x @ state["fc.weight"].T + state["fc.bias"], state, "features")


def test_iresnet_equals_the_formula_at_its_own_size():
    network = randomise(IResNet((1, 2, 1, 1))).double()
    x = 2 * torch.rand(1, 3, 112, 112, dtype=torch.float64) - 1
    expected = naive_iresnet(x, network.state_dict())
    torch.testing.assert_close(network(x), expected)
    assert expected.std() > 0.1
    assert network.forward_features(x).shape == (1, 512, 7, 7)


def test_iresnet_averages_other_sizes_to_its_grid():
    network = randomise(IResNet((1, 1, 1, 1)))
    assert network.forward_features(torch.rand(1, 3, 64, 64)).shape == (1, 512, 4, 4)
    features = torch.randn(1, 512, 14, 14)
    torch.testing.assert_close(network.forward_head(features), network.forward_head(functional.avg_pool2d(features, 2)))


# units, and 18 tensors a unit, 6 more for each stage's shortcut, 7 of the stem, 12 behind the stages
@pytest.mark.parametrize(("depth", "units"), [(18, 8), (34, 16), (50, 24), (100, 49)])
def test_iresnet_has_the_published_tensors(depth, units):
    with torch.device("meta"):
        state = timm.create_model(f"iresnet{depth}").state_dict()
    state = {name: tuple(value.shape) for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(state) == 7 - 1 + units * (18 - 3) + 4 * (6 - 1) + 12 - 2
    norms = ("weight", "bias", "running_mean", "running_var")
    unit = {
        *(f"bn{number}.{part}" for number in (1, 2, 3) for part in norms),
        *("conv1.weight", "conv2.weight", "prelu.weight", "downsample.0.weight"),
        *(f"downsample.1.{part}" for part in norms),
    }
    assert {name.removeprefix("layer3.0.") for name in state if name.startswith("layer3.0.")} == unit
    outside = {name for name in state if not name.startswith("layer")}
    assert outside == {
        *("conv1.weight", "prelu.weight", "fc.weight", "fc.bias"),
        *(f"{name}.{part}" for name in ("bn1", "bn2", "features") for part in norms),
    }
    assert state["fc.weight"] == (512, 25088) and state["layer2.0.conv2.weight"] == (128, 128, 3, 3)
    assert state["layer2.0.conv1.weight"] == (128, 64, 3, 3) and state["layer2.0.bn1.weight"] == (64,)


# --- FaceNet ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def facenet():
    torch.manual_seed(0)
    return randomise(facenet_pytorch.InceptionResnetV1(dropout_prob=0.0))


def test_facenet_equals_facenet_pytorch_in_values_and_gradients(facenet, tmp_path):
    state = facenet.state_dict() | {"logits.weight": torch.zeros(8631, 512), "logits.bias": torch.zeros(8631)}
    torch.save(state, tmp_path / "20180402-114759-vggface2.pt")
    network = InceptionResnetV1(drop_rate=0.0).eval()
    report = load_backbone(network, tmp_path / "20180402-114759-vggface2.pt")
    assert report.share == 1 and report.layout == "facenet-pytorch InceptionResnetV1"
    assert report.unexpected == report.classifier == ["logits.weight", "logits.bias"]
    ours, theirs = (torch.rand(1, 3, 80, 80, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    embedding = functional.normalize(network(ours.requires_grad_()), dim=1)
    expected = facenet(theirs.requires_grad_())
    assert expected.std() > 0.01
    torch.testing.assert_close(embedding, expected)
    embedding[:, 0].sum().backward()
    expected[:, 0].sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_facenet_trains_as_facenet_pytorch_does(facenet):
    network = InceptionResnetV1(drop_rate=0.0)
    network.load_state_dict(facenet.state_dict())
    x = torch.rand(2, 3, 80, 80)
    before = {name: value.clone() for name, value in facenet.state_dict().items()}
    torch.testing.assert_close(functional.normalize(network.train()(x), dim=1), facenet.train()(x))
    after = facenet.eval().state_dict()
    assert not after["last_bn.running_mean"].equal(before["last_bn.running_mean"])
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, after[name])
    facenet.load_state_dict(before)


# --- DeepFace --------------------------------------------------------------------------------------------------


def test_locally_connected_by_hand():
    layer = LocallyConnected2d(1, 1, side=3, kernel=2)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(16.0).reshape(4, 4, 1))  # the filter of place p: 4 p, 4 p + 1, ...
        layer.bias.copy_(torch.tensor([[[0.0, 1.0], [2.0, 3.0]]]))
    x = torch.tensor([[[[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [3.0, 0.0, 1.0]]]])
    # place 0 sees 1 0 / 0 1, place 1 0 2 / 1 0, place 2 0 1 / 3 0, place 3 1 0 / 0 1
    assert layer(x).tolist() == [[[[0 + 3, 5 * 2 + 6 + 1], [9 + 10 * 3 + 2, 12 + 15 + 3]]]]


def test_locally_connected_with_equal_filters_is_a_convolution_and_has_its_gradients():
    torch.manual_seed(0)
    layer = LocallyConnected2d(3, 4, side=9, kernel=3, stride=2).double()
    filters = torch.randn(4, 3, 3, 3, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(filters.reshape(4, -1).T.expand(16, -1, -1))
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(layer(x), functional.conv2d(x, filters, stride=2))
    small = LocallyConnected2d(2, 2, side=4, kernel=3).double()
    assert torch.autograd.gradcheck(small, torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True))


def keras_deepface(hidden, seed=0):
    """Draw weights as Keras names and orders them, for pictures of 76 px."""
    draw = np.random.default_rng(seed)
    shapes = {
        "C1": ((11, 11, 3, 32), (32,)),
        "C3": ((9, 9, 32, 16), (16,)),
        "L4": ((17 * 17, 9 * 9 * 16, 16), (17, 17, 16)),
        "L5": ((6 * 6, 7 * 7 * 16, 16), (6, 6, 16)),
        "L6": ((2 * 2, 5 * 5 * 16, 16), (2, 2, 16)),
        "F7": ((2 * 2 * 16, hidden), (hidden,)),
        "F8": ((hidden, 8631), (8631,)),
    }
    arrays = {}
    for name, (kernel, bias) in shapes.items():
        scale = math.sqrt(2 / np.prod(kernel[-2:] if name[0] == "L" else kernel[:-1]))
        scale = math.sqrt(2 / kernel[1]) if name[0] == "L" else scale
        arrays[f"{name}/kernel"] = (scale * draw.standard_normal(kernel, dtype=np.float32)).astype(np.float32)
        arrays[f"{name}/bias"] = 0.1 * draw.standard_normal(bias, dtype=np.float32)
    return arrays


def naive_deepface(picture, arrays):
    """One picture (H, W, C), channels last as in Keras, place by place."""

    def places(x, kernel, stride):
        side = (len(x) - kernel) // stride + 1
        for row in range(side):
            for column in range(side):
                yield row, column, x[row * stride :, column * stride :][:kernel, :kernel]

    def conv(x, name):
        kernel, bias = arrays[f"{name}/kernel"], arrays[f"{name}/bias"]
        side = len(x) - len(kernel) + 1
        out = np.empty((side, side, kernel.shape[3]), np.float32)
        for row, column, patch in places(x, len(kernel), 1):
            out[row, column] = np.tensordot(patch, kernel, 3) + bias
        return np.maximum(out, 0)

    def local(x, name, size, stride):
        kernel, bias = arrays[f"{name}/kernel"], arrays[f"{name}/bias"]
        out = np.empty(bias.shape, np.float32)
        for row, column, patch in places(x, size, stride):
            out[row, column] = patch.reshape(-1) @ kernel[row * len(bias) + column] + bias[row, column]
        return np.maximum(out, 0)

    x = conv(picture, "C1")
    # "same" pooling of an even side by 3 with stride 2: one more row and column at the end
    pooled = np.stack(
        [x[r : r + 3, c : c + 3].max((0, 1)) for r in range(0, len(x), 2) for c in range(0, len(x), 2)]
    ).reshape(len(x) // 2, len(x) // 2, -1)
    x = local(local(local(conv(pooled, "C3"), "L4", 9, 1), "L5", 7, 2), "L6", 5, 1)
    return np.maximum(x.reshape(-1) @ arrays["F7/kernel"] + arrays["F7/bias"], 0)


def test_deepface_equals_keras_layers_place_by_place():
    arrays = keras_deepface(hidden=24)
    network = timm.create_model("deepface", img_size=76, hidden=24, drop_rate=0.0)
    tensors, layout = translate({name: torch.from_numpy(value) for name, value in arrays.items()}, network, "w.h5")
    assert layout == "DeepFace (Keras)"
    state = network.state_dict()
    network.load_state_dict({name: tensors[name] for name in state})
    pictures = np.random.default_rng(1).random((2, 76, 76, 3), dtype=np.float32)
    expected = np.stack([naive_deepface(picture, arrays) for picture in pictures])
    assert (expected > 0.01).mean() > 0.2
    got = network(torch.from_numpy(pictures).permute(0, 3, 1, 2)).detach()
    torch.testing.assert_close(got, torch.from_numpy(expected), atol=1e-4, rtol=1e-3)


def test_deepface_has_the_published_size():
    with torch.device("meta"):
        network = timm.create_model("deepface")
        assert network.forward_features(torch.empty(1, 3, 152, 152)).shape == (1, 16, 21, 21)
    # 137,774,071 with the classifier of 8631 people, as its publisher counts
    assert sum(item.numel() for item in network.parameters()) == 137_774_071 - (4096 + 1) * 8631
    assert network.L4.weight.shape == (55 * 55, 9 * 9 * 16, 16) and network.F7.weight.shape == (4096, 7056)


# --- VGGFace2 --------------------------------------------------------------------------------------------------


def caffe_weights(squeeze, seed=0):
    """Draw the tensors of ResNet-50 under Caffe's names."""
    generator = torch.Generator().manual_seed(seed)
    state = {}

    def conv(name, outputs, inputs, kernel, bias=False):
        scale = (2 / (inputs * kernel**2)) ** 0.5
        state[f"{name}.weight"] = scale * torch.randn(outputs, inputs, kernel, kernel, generator=generator)
        if bias:  # small enough that the gates are not all open or shut, where rounding would decide
            state[f"{name}.weight"] *= 0.1
            state[f"{name}.bias"] = torch.randn(outputs, generator=generator)
            return
        for part, low in (("weight", 0.4), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
            state[f"{name}_bn.{part}"] = low + torch.rand(outputs, generator=generator)

    conv("conv1_7x7_s2", 64, 3, 7)
    state["conv1_7x7_s2_bn.running_var"] *= 3e4  # of pictures in 0..255
    inputs = 64
    for stage, count in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True):
        width = 16 * 2**stage
        for unit in range(1, count + 1):
            name = f"conv{stage}_{unit}"
            conv(f"{name}_1x1_reduce", width, inputs, 1)
            conv(f"{name}_3x3", width, width, 3)
            conv(f"{name}_1x1_increase", 4 * width, width, 1)
            if squeeze:
                conv(f"{name}_1x1_down", width // 4, 4 * width, 1, bias=True)
                conv(f"{name}_1x1_up", 4 * width, width // 4, 1, bias=True)
            if unit == 1:
                conv(f"{name}_1x1_proj", 4 * width, inputs, 1)
            inputs = 4 * width
    state["feat_extract.weight"] = torch.zeros(128, 2048, 1, 1)
    return state


def naive_caffe(x, state):
    def conv(x, name, stride=1, padding=0):
        x = functional.conv2d(x, state[f"{name}.weight"], stride=stride, padding=padding)
        return norm(x, state, f"{name}_bn")

    x = functional.max_pool2d(conv(x, "conv1_7x7_s2", 2, 3).relu(), 3, 2, ceil_mode=True)
    for stage, count in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True):
        for unit in range(1, count + 1):
            name = f"conv{stage}_{unit}"
            stride = 2 if unit == 1 and stage > 2 else 1
            inside = conv(x, f"{name}_1x1_reduce", stride).relu()
            inside = conv(conv(inside, f"{name}_3x3", 1, 1).relu(), f"{name}_1x1_increase")
            if f"{name}_1x1_up.weight" in state:
                gate = inside.mean((2, 3))
                for part, function in (("down", torch.relu), ("up", torch.sigmoid)):
                    weight, bias = state[f"{name}_1x1_{part}.weight"], state[f"{name}_1x1_{part}.bias"]
                    gate = function(gate @ weight[:, :, 0, 0].T + bias)
                inside = inside * gate[:, :, None, None]
            if unit == 1:
                x = conv(x, f"{name}_1x1_proj", stride)
            x = (x + inside).relu()
    return x.mean((2, 3))


@pytest.fixture(scope="module", params=["caffe_resnet50", "caffe_senet50"])
def vggface2(request):
    state = caffe_weights(squeeze="senet" in request.param)
    encoder = build_encoder(timm_name=request.param, model_args={}, in_chans=3, size=72).eval()
    pictures = torch.rand(2, 3, 72, 72)
    mean = torch.tensor([131.0912, 103.8827, 91.4953]).reshape(1, 3, 1, 1)
    with torch.no_grad():
        return state, encoder, pictures, naive_caffe(255 * pictures - mean, state)


def test_vggface2_networks_equal_caffes_arithmetic(vggface2, tmp_path):
    state, encoder, pictures, expected = vggface2
    torch.save(state, tmp_path / "resnet50_ft_dag.pth")
    report = load_backbone(encoder, tmp_path / "resnet50_ft_dag.pth")
    assert report.share == 1 and report.unexpected == report.classifier == ["feat_extract.weight"]
    with torch.no_grad():
        torch.testing.assert_close(encoder(pictures), expected, atol=1e-3, rtol=1e-3)
    assert expected.std() > 0.05


def bgr_port(state):
    """The same weights as VGGFace2-pytorch names and orders them."""
    kinds = {"1x1_reduce": 1, "3x3": 2, "1x1_increase": 3, "1x1_down": 4, "1x1_up": 5}
    found = {"fc.weight": torch.zeros(8631, 2048), "fc.bias": torch.zeros(8631)}
    for name, value in state.items():
        layer, part = name.split(".")
        kind = "bn" if layer.endswith("_bn") else "conv"
        layer = layer.removesuffix("_bn")
        if layer == "conv1_7x7_s2":
            found[f"{kind}1.{part}"] = value[:, [2, 1, 0]] if kind == "conv" else value
        elif layer != "feat_extract":
            stage, unit, place = layer[4:].split("_", 2)
            number = f"downsample.{int(kind == 'bn')}" if place == "1x1_proj" else f"{kind}{kinds[place]}"
            found[f"layer{int(stage) - 1}.{int(unit) - 1}.{number}.{part}"] = value
    return found


def test_the_bgr_ports_channels_are_turned(vggface2):
    state, encoder, pictures, expected = vggface2
    with torch.no_grad():
        for item in encoder.parameters():
            item.zero_()
    port = bgr_port(state)
    tensors, layout = translate({f"module.{name}": value for name, value in port.items()}, encoder.backbone, "w.pth")
    assert layout == "VGGFace2 (torchvision's names, BGR)"
    found = {name.removeprefix("module."): value for name, value in tensors.items()}
    encoder.backbone.load_state_dict({name: value for name, value in found.items() if name[:2] != "fc"}, strict=False)
    with torch.no_grad():
        torch.testing.assert_close(encoder(pictures), expected, atol=1e-3, rtol=1e-3)
