"""The moving average: by hand, naively, against torch's AveragedModel; its state resumes."""

import math

import pytest
import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fer_core.errors import ConfigError
from fer_core.training.ema import Ema


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def train(model, seed):
    generator = torch.Generator().manual_seed(seed)
    model.train()
    model(torch.randn(8, 3, generator=generator))
    with torch.no_grad():
        for item in model.parameters():
            item.add_(0.1 * torch.randn(item.shape, generator=generator))


def copied(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def test_by_hand():
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    ema = Ema(model, 0.5)
    values = []
    for step, weight in enumerate((1.0, 5.0, 9.0, 4.0)):
        model.weight.data.fill_(weight)
        ema.update(step)
        values.append(ema.model.weight.item())
    # 1; d = 1 − 2^(−2/3) = 0.37: 0.37·1 + 0.63·5; then 1 − 3^(−2/3) = 0.519 is above 0.5: means with the newest
    second = 5 - 4 * (1 - 2 ** (-2 / 3))
    assert values == pytest.approx([1, second, (second + 9) / 2, ((second + 9) / 2 + 4) / 2])
    assert second == pytest.approx(3.52, abs=0.01)


@pytest.mark.parametrize("decay", [0.0, 0.6, 0.999])
def test_naive_loop_with_buffers(decay):
    model = net()
    ema = Ema(model, decay)
    expected = None
    for step in range(40):
        train(model, step)
        ema.update(step)
        d = min(decay, 1 - (1 + step) ** (-2 / 3))
        now = copied(model)
        expected = expected or now
        for key, value in now.items():
            expected[key] = d * expected[key] + (1 - d) * value if value.is_floating_point() else value
    for key, value in ema.model.state_dict().items():
        torch.testing.assert_close(value, expected[key])
    assert ema.model[1].num_batches_tracked == 40


def test_equals_torchs_averaged_model_once_warm():
    model, decay = net(), 0.3  # below 1 − 2^(−2/3): warm from step 1 on
    ema = Ema(model, decay)
    train(model, 0)
    ema.update(0)
    reference = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    reference.update_parameters(model)  # the first one copies
    for step in range(1, 30):
        train(model, step)
        ema.update(step)
        reference.update_parameters(model)
    for ours, theirs in zip(ema.model.parameters(), reference.module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(ema.model[1].running_var, reference.module[1].running_var)


def test_the_first_weights_are_forgotten():
    model = nn.Linear(1, 1, bias=False)
    ema = Ema(model, 0.9999)
    model.weight.data.fill_(1e6)  # an initialisation far off
    ema.update(0)
    for step in range(1, 300):
        model.weight.data.fill_(1.0)
        ema.update(step)
    assert ema.model.weight.item() == pytest.approx(1.0, abs=0.5)  # 0.9999 throughout would keep 97 %


def test_constant_weights_are_their_own_average_and_the_model_is_untouched():
    model = net()
    train(model, 0)
    before = copied(model)
    ema = Ema(model, 0.99)
    for step in range(20):
        ema.update(step)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
        assert torch.equal(ema.model.state_dict()[key], before[key])
    assert model.training and not ema.model.training
    assert all(item.requires_grad for item in model.parameters())
    assert not any(item.requires_grad for item in ema.model.parameters())
    train(model, 1)
    assert torch.equal(ema.model[0].weight, before["0.weight"]), "a copy, not a view"


def test_state_resumes_identically(tmp_path):
    model = net()
    ema = Ema(model, 0.99)
    for step in range(10):
        train(model, step)
        ema.update(step)
    torch.save({"ema": ema.state_dict(), "model": model.state_dict()}, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    other = net(seed=1)
    other.load_state_dict(state["model"])
    again = Ema(other, 0.99)
    again.load_state_dict(state["ema"])
    for one, average in ((model, ema), (other, again)):
        for step in range(10, 15):
            train(one, step)
            average.update(step)
    for key, value in ema.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[key]), key


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_finite(dtype):
    model = nn.Linear(3, 2).to(dtype)
    ema = Ema(model, 0.9)
    for step in range(20):
        ema.update(step)
    assert all(item.isfinite().all() for item in ema.model.parameters())


@pytest.mark.parametrize("decay", [-0.1, 1.0, math.nan])
def test_decay_out_of_range(decay):
    with pytest.raises(ConfigError, match="`ema`"):
        Ema(net(), decay)


def test_tensors_that_are_replaced_are_followed():
    model = net()
    ema = Ema(model, 0.5)
    ema.update(0)
    model[0].weight.data = torch.full((4, 3), 2.0)
    model[2].weight = nn.Parameter(torch.full((2, 4), 3.0))
    model[1].running_mean = torch.full((4,), 4.0)
    model[1].num_batches_tracked = torch.tensor(7)
    before = copied(ema.model)
    ema.update(100)  # warm: half of each
    for key, value in (("0.weight", 2.0), ("2.weight", 3.0), ("1.running_mean", 4.0)):
        torch.testing.assert_close(ema.model.state_dict()[key], (before[key] + value) / 2)
    assert ema.model[1].num_batches_tracked == 7
    state = copied(ema.model)
    ema.load_state_dict({key: torch.zeros_like(value) for key, value in state.items()})
    ema.update(101)
    torch.testing.assert_close(ema.model[0].weight, torch.ones(4, 3))


def test_a_shared_weight_is_averaged_once_and_what_no_state_holds_is_left_alone():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    model.register_buffer("cache", torch.ones(1), persistent=False)
    nn.init.ones_(model[0].weight)
    ema = Ema(model, 0.5)
    ema.update(0)
    nn.init.constant_(model[0].weight, 3.0)
    model.cache.fill_(9.0)
    ema.update(100)
    assert ema.model[0].weight.eq(2).all() and ema.model[1].weight is ema.model[0].weight  # twice would be 2.5
    assert ema.model.cache.item() == 1


def test_equals_timms_own_average_exactly():
    model = net()
    ours, theirs = Ema(model, 0.9), ModelEmaV3(model, decay=0.9, use_warmup=True)
    for step in range(20):
        train(model, step)
        ours.update(step)
        theirs.update(model, step=step + 1)
    for key, value in theirs.module.state_dict().items():
        assert torch.equal(ours.model.state_dict()[key], value), key
