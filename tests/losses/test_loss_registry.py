import pytest
import torch

from fer_core.errors import ConfigError
from fer_core.losses import LOSSES, build_loss

SETTINGS = {
    "class_counts": torch.tensor([5, 3, 2]),
    "focal_gamma": 2.0,
    "cb_beta": 0.9,
    "label_smoothing": 0.0,
    "ldam_margin": 0.5,
    "margin_scale": 1.0,
    "logit_tau": 1.0,
}


def test_unknown_loss_names_the_nearest():
    names = "balanced_softmax, cb, cb_focal, ce, focal, ldam, logit_adjusted"
    with pytest.raises(ConfigError, match=rf"`loss` to be one of {names}; got 'focl'. Did you mean 'focal'"):
        build_loss("focl", **SETTINGS)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("cb", "cb_beta", 1.0),
        ("cb", "cb_beta", -0.1),
        ("focal", "focal_gamma", -1.0),
        ("ce", "label_smoothing", 1.0),
        ("focal", "label_smoothing", -0.1),
        ("cb", "label_smoothing", float("nan")),
        ("cb_focal", "cb_beta", 1.0),
        ("cb_focal", "focal_gamma", float("inf")),
        ("ldam", "ldam_margin", -0.1),
        ("ldam", "margin_scale", -1.0),
        ("ldam", "label_smoothing", 1.0),
        ("balanced_softmax", "label_smoothing", 1.0),
        ("logit_adjusted", "logit_tau", float("nan")),
        ("logit_adjusted", "label_smoothing", 1.0),
    ],
)
def test_settings_out_of_range_are_refused_by_key(name, key, value):
    with pytest.raises(ConfigError, match=key):
        build_loss(name, **{**SETTINGS, key: value})


@pytest.mark.parametrize("name", LOSSES)
def test_a_training_step_lowers_the_loss_and_fits(name):
    torch.manual_seed(0)
    features, target = torch.randn(32, 8), torch.eye(3)[torch.arange(32) % 3]
    net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3))
    loss = build_loss(name, **SETTINGS)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    before = loss(net(features), target).item()
    for _ in range(150):
        optimizer.zero_grad()
        value = loss(net(features), target)
        value.backward()
        optimizer.step()
    assert value.item() < 0.1 * before
    assert (net(features).argmax(1) == target.argmax(1)).all()


@pytest.mark.parametrize("name", LOSSES)
def test_losses_leave_no_tensor_in_a_checkpoint(name):
    assert build_loss(name, **SETTINGS, reweight=True).state_dict() == {}
