"""Optimisers, layer-wise rates and schedules: by hand, naively, against torch's and timm's own."""

import itertools
import math

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from timm.scheduler import CosineLRScheduler
from torch import nn
from torch.optim import lr_scheduler

from fer_core.errors import ConfigError
from fer_core.models import build_model
from fer_core.training.optim import (
    OPTIMIZERS,
    SCHEDULES,
    adamw,
    build_optimizer,
    layer_groups,
    schedule_factor,
    set_lr,
    warmup_cosine,
)

NETWORKS = [("test_resnet", {}), ("test_vit", {"patch_size": 8}), ("test_efficientnet", {})]


def fer_model(name="test_resnet", args=None, attention="none"):
    return build_model(
        timm_name=name, model_args=args or {}, in_chans=1, size=32, classes=7, aus=2, attention=attention
    )


def one(value=2.0):
    return nn.Parameter(torch.tensor([[value]], dtype=torch.float64))


def step(name, gradients, lr=0.1, weight_decay=0.0, value=2.0):
    item = one(value)
    optimizer = build_optimizer(name, [{"params": [item]}], lr, weight_decay)
    for gradient in gradients:
        item.grad = torch.full_like(item, gradient)
        optimizer.step()
    return item.item()


# --- optimisers ------------------------------------------------------------------------------------------------


def test_sgd_by_hand():
    # v = 3, step 3 + 0.9·3 = 5.7: 2 − 0.57 = 1.43;  v = 0.9·3 + 1 = 3.7, step 1 + 0.9·3.7 = 4.33: 1.43 − 0.433
    assert step("sgd", [3.0]) == pytest.approx(1.43)
    assert step("sgd", [3.0, 1.0]) == pytest.approx(0.997)
    # the decay is part of the gradient: 3 + 0.5·2 = 4, step 4 + 3.6 = 7.6
    assert step("sgd", [3.0], weight_decay=0.5) == pytest.approx(2 - 0.76)


def test_lion_by_hand():
    # 2·(1 − 0.1·0.5) − 0.1·sign(g)
    assert step("lion", [3.0], weight_decay=0.5) == pytest.approx(1.8)
    # m = 0.01·3; 0.9·0.03 + 0.1·(−0.1) = 0.017 > 0: still down;  0.027 + 0.1·(−1) < 0: up
    assert step("lion", [3.0, -0.1]) == pytest.approx(1.8)
    assert step("lion", [3.0, -1.0]) == pytest.approx(2.0)


def test_adam_and_adamw_by_hand():
    # the first step is lr·sign(g); AdamW first shrinks w by 1 − lr·decay, Adam adds decay·w to g: its sign stays
    assert step("adam", [3.0], weight_decay=0.5) == pytest.approx(1.9)
    assert step("adamw", [3.0], weight_decay=0.5) == pytest.approx(2 * 0.95 - 0.1)


def test_lamb_by_hand():
    # gradient clipped to norm 1; direction m/√v = 1, + 0.5·2 = 2; trust ‖w‖/‖2‖ = 1: 2 − 0.1·1·2
    assert step("lamb", [3.0], weight_decay=0.5) == pytest.approx(1.8, abs=1e-5)
    # w = 4: direction 1 + 2 = 3, trust 4/3: the step is lr·‖w‖ = 0.4
    assert step("lamb", [3.0], weight_decay=0.5, value=4.0) == pytest.approx(3.6, abs=1e-5)


@pytest.mark.parametrize("layer_decay", [1.0, 0.999999999])
def test_adamw_is_torchs(layer_decay):
    trained = []
    for make in (
        lambda model: build_optimizer("adamw", model, 0.01, 0.3, layer_decay=layer_decay),
        lambda model: adamw(model, 0.01, 0.3),
    ):
        torch.manual_seed(0)
        model = fer_model()
        optimizer = make(model)
        for seed in range(3):
            x = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(seed))
            optimizer.zero_grad()
            model(x).logits.square().mean().backward()
            optimizer.step()
        trained.append(model.state_dict())
    for ours, theirs in zip(*(state.values() for state in trained), strict=True):
        if layer_decay == 1:
            assert torch.equal(ours, theirs)
        else:
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_descends_resumes_and_spares_norms_and_biases(name, tmp_path):
    def start():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        return model, build_optimizer(name, model, 0.005, 0.01)

    def run(model, optimizer, count):
        x = torch.linspace(-1, 1, 24).reshape(8, 3)
        losses = []
        for _ in range(count):
            loss = (model(x)[:, 0] - x[:, 0]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    model, optimizer = start()
    decay = {id(item): group["weight_decay"] for group in optimizer.param_groups for item in group["params"]}
    for part in model:
        for key, item in part.named_parameters():
            assert decay.pop(id(item)) == (0.01 if isinstance(part, nn.Linear) and key == "weight" else 0)
    assert not decay
    losses = run(model, optimizer, 60)
    assert losses[-1] < 0.8 * losses[0]
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    after = run(model, optimizer, 3)
    again, other = start()
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again.load_state_dict(state["model"])
    other.load_state_dict(state["optimizer"])
    assert run(again, other, 3) == after


def test_unknown_names():
    with pytest.raises(ConfigError, match=r"`optimizer`.*Did you mean 'lion'"):
        build_optimizer("lionn", nn.Linear(1, 1), 0.1, 0.0)
    with pytest.raises(ConfigError, match="`schedule`"):
        schedule_factor("exponential", 0, 1, 0)


# --- layer-wise rates ------------------------------------------------------------------------------------------


def test_layer_decay_by_hand():
    model = fer_model("test_resnet", attention="cbam")
    optimizer = build_optimizer("sgd", model, 0.8, 0.01, layer_decay=0.5)
    rate = {id(item): group["lr"] for group in optimizer.param_groups for item in group["params"]}
    expected = {"layer4": 0.4, "layer3": 0.2, "layer2": 0.1, "layer1": 0.05, "": 0.025}  # halved from layer to layer
    for name, item in model.named_parameters():
        inner = name.removeprefix("encoder.backbone.")
        if inner == name:  # attention and heads
            assert rate.pop(id(item)) == 0.8
        else:
            assert rate.pop(id(item)) == pytest.approx(expected.get(inner.split(".")[0], 0.025)), name
    assert not rate
    set_lr(optimizer, 1.6)
    assert max(group["lr"] for group in optimizer.param_groups) == 1.6
    assert min(group["lr"] for group in optimizer.param_groups) == pytest.approx(0.05)


@pytest.mark.parametrize(("name", "args"), NETWORKS)
def test_factors_are_those_of_timm_with_its_own_classifier(name, args):
    def factors(groups, model):
        names = {id(item): key for key, item in model.named_parameters()}
        return {names[id(p)]: (g["lr_scale"], g["weight_decay"]) for g in groups for p in g["params"]}

    reference = timm.create_model(name, num_classes=7, in_chans=1, img_size=32, **args) if args else None
    reference = reference or timm.create_model(name, num_classes=7, in_chans=1)
    theirs = factors(param_groups_layer_decay(reference, 0.05, layer_decay=0.7), reference)
    model = fer_model(name, args)
    ours = factors(layer_groups(model, 0.05, 0.7), model)
    assert {ours.pop(key) for key in list(ours) if "backbone" not in key} == {(1.0, 0.05), (1.0, 0.0)}
    inside = {key.removeprefix("encoder.backbone."): value for key, value in ours.items()}
    classifier = reference.pretrained_cfg["classifier"]
    assert {key for key in theirs if key not in inside} == {f"{classifier}.weight", f"{classifier}.bias"}
    for key, (scale, decay) in inside.items():
        assert theirs[key] == (pytest.approx(scale), decay), key


def test_frozen_parameters_are_in_no_group():
    model = fer_model()
    model.backbone.layer1[0].conv1.weight.requires_grad_(False)
    model.head.bias.requires_grad_(False)
    for layer_decay in (1.0, 0.5):
        groups = build_optimizer("adamw", model, 0.1, 0.01, layer_decay=layer_decay).param_groups
        found = [id(item) for group in groups for item in group["params"]]
        assert sorted(found) == sorted(id(item) for item in model.parameters() if item.requires_grad)


def test_layer_decay_says_what_it_needs():
    for model in (nn.Linear(2, 2), [{"params": [one()]}], nn.ModuleDict({"backbone": nn.Linear(2, 2)})):
        with pytest.raises(ConfigError, match="`layer_decay`"):
            build_optimizer("adamw", model, 0.1, 0.0, layer_decay=0.5)
    for wrong in (0.0, 1.1, -1.0, math.nan):
        with pytest.raises(ConfigError, match="`layer_decay`"):
            build_optimizer("adamw", fer_model(), 0.1, 0.0, layer_decay=wrong)


def test_given_groups_keep_their_scale():
    groups = [{"params": [one()], "lr_scale": 0.5}, {"params": [one()], "weight_decay": 0.0}]
    optimizer = build_optimizer("sgd", groups, 0.4, 0.1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.4]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]


# --- schedules -------------------------------------------------------------------------------------------------


def test_schedules_by_hand():
    def run(name):
        return [schedule_factor(name, step, 12, 2) for step in range(13)]

    assert run("linear") == pytest.approx([0.5, 1, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0])
    assert run("step") == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01])
    assert run("constant") == [0.5] + 12 * [1]
    assert run("cosine")[7] == pytest.approx(0.5)  # half way from step 2 to 12
    # 20 steps: up until 0.3·20 − 1 = 5, down until 19; half way up at 2.5, half way down at 12
    cycle = [schedule_factor("one_cycle", step, 20, 7) for step in range(20)]
    assert cycle[0] == pytest.approx(1 / 25)
    assert cycle[5] == pytest.approx(1)
    assert cycle[12] == pytest.approx((1 + 1 / 250_000) / 2)
    assert cycle[19] == pytest.approx(1 / 250_000)
    assert cycle[2] + cycle[3] == pytest.approx(1 + 1 / 25)  # symmetric about 2.5


def reference(make, steps):
    optimizer = torch.optim.SGD([one()], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(("steps", "warmup"), [(20, 5), (37, 4), (100, 10), (10, 0)])
def test_equals_torchs_schedulers(steps, warmup):
    rest = steps - warmup
    decays = {
        "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, rest),
        "linear": lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, rest),
        "step": lambda o: lr_scheduler.MultiStepLR(o, [-(-6 * rest // 10), -(-8 * rest // 10)]),
        "constant": lambda o: lr_scheduler.ConstantLR(o, 1.0),
    }
    for name, make in decays.items():
        ours = [schedule_factor(name, step, steps, warmup) for step in range(steps)]
        expected = reference(make, rest)
        if warmup:
            expected = (
                reference(lambda o: lr_scheduler.LinearLR(o, 1 / warmup, 1.0, max(warmup - 1, 1)), warmup) + expected
            )
        assert ours == pytest.approx(expected, abs=1e-9), name
    ours = [schedule_factor("one_cycle", step, steps, warmup) for step in range(steps)]
    assert ours == pytest.approx(reference(lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=steps), steps))


def test_cosine_equals_timms_after_the_warm_up():
    optimizer = torch.optim.SGD([one()], lr=1.0)
    scheduler = CosineLRScheduler(optimizer, t_initial=30, warmup_t=5, warmup_prefix=True, t_in_epochs=False)
    for step in range(5, 35):
        scheduler.step_update(step)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(schedule_factor("cosine", step, 35, 5))
        assert warmup_cosine(step, 35, 5) == schedule_factor("cosine", step, 35, 5)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (2, 0), (3, 3), (2, 5), (4, 1), (10, 0), (50, 7)])
def test_factors_stay_between_0_and_1_rise_and_then_fall(name, steps, warmup):
    factors = [schedule_factor(name, step, steps, warmup) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert all(a <= b for a, b in itertools.pairwise(factors[: top + 1]))
    assert all(a >= b for a, b in itertools.pairwise(factors[top:]))
    assert schedule_factor(name, steps + 9, steps, warmup) <= factors[-1] or warmup > steps
