"""AU-guided attention: the module, its targets and its loss, by hand, as naive loops, against timm's BCE."""

import math

import pytest
import torch
from test_golden_attention import sigmoid
from timm.loss import BinaryCrossEntropy

from fer_core.augment.guidance import region_activity, region_maps
from fer_core.augment.regions import AU_REGIONS, REGIONS, TEMPLATE, region_boxes
from fer_core.errors import DataError
from fer_core.losses.attention import attention_loss
from fer_core.models.au_guided import AuGuided, gate

NAN = float("nan")
NAMES = ("AU1", "AU6", "AU12", "AU25", "AU99")  # brows; eyes, cheeks; cheeks, mouth; mouth; nowhere
# eyes 20 px apart, the mouth 20 px below: a box's numbers times 20, from (30.5, 20.5)
POINTS = torch.tensor([[[20.5, 20.5], [40.5, 20.5], [30.5, 30.5], [22.5, 40.5], [38.5, 40.5]]])


# ---- the module


@torch.no_grad()
def test_module_by_hand():
    module = AuGuided(1)
    module.conv.weight.zero_(), module.conv.bias.fill_(-9.0)
    module.conv.weight[0, 0, 1, 1], module.conv.bias[0] = 1.0, 0.0  # brows: x of the place
    module.conv.weight[4, 0, 1, 2], module.conv.bias[4] = 2.0, -1.0  # mouth: twice the right neighbour, minus 1
    x = torch.tensor([[[[1.0, 3.0, -2.0]]]])
    out, logits = module.attend(x)
    assert logits[0, 0, 0].tolist() == [1.0, 3.0, -2.0]
    assert logits[0, 4, 0].tolist() == [5.0, -5.0, -1.0]
    expected = [1 + sigmoid(5), 3 * (1 + sigmoid(3)), -2 * (1 + sigmoid(-1))]
    assert out[0, 0, 0].tolist() == pytest.approx(expected, rel=1e-6)
    assert module(x).equal(out)


@torch.no_grad()
def test_module_as_a_naive_loop():
    torch.manual_seed(0)
    module, x = AuGuided(3), torch.randn(2, 3, 4, 5)
    found, logits = module.attend(x)
    for sample in range(2):
        for row in range(4):
            for column in range(5):
                best = -math.inf
                for region in range(len(REGIONS)):
                    total = module.conv.bias[region].item()
                    for dy in (-1, 0, 1):
                        for dx in (-1, 0, 1):
                            if 0 <= row + dy < 4 and 0 <= column + dx < 5:
                                weights = module.conv.weight[region, :, dy + 1, dx + 1]
                                total += (weights * x[sample, :, row + dy, column + dx]).sum().item()
                    assert logits[sample, region, row, column].item() == pytest.approx(total, abs=1e-5)
                    best = max(best, total)
                expected = x[sample, :, row, column] * (1 + sigmoid(best))
                torch.testing.assert_close(found[sample, :, row, column], expected, rtol=1e-5, atol=1e-6)


def test_module_gradcheck_and_bounds():
    torch.manual_seed(0)
    module = AuGuided(2).double()
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module.attend, (x,))
    with torch.no_grad():
        ratio = module(x) / x
    assert (ratio > 1).all() and (ratio < 2).all(), "nothing is lost, nothing more than doubled"
    union = gate(torch.tensor([-1e4, 1e4, 0.0, 0.0]).reshape(2, 2, 1, 1))
    assert union.flatten().tolist() == [1.0, 0.5]


# ---- the target


def test_activity_by_hand():
    aus = torch.tensor([[1, 0, 0, 0, 0], [0, NAN, 1, NAN, 1], [NAN, 0, NAN, 0, NAN], [NAN] * 5])
    found = region_activity(aus, NAMES).tolist()
    expected = [
        # brows, eyes, nose, cheeks, mouth, chin
        [1, 0, NAN, 0, 0, NAN],
        [0, NAN, NAN, 1, 1, NAN],  # AU12 shows in cheeks and mouth, whatever AU6 and AU25 do
        [NAN, 0, NAN, NAN, NAN, NAN],
        [NAN] * 6,
    ]
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx(wanted, nan_ok=True)


def test_an_au_of_one_side_acts_in_the_whole_region():
    found = region_activity(torch.tensor([[1.0, 0.0]]), ("AU12L", "AU1R"))[0].tolist()
    assert found == pytest.approx([0, NAN, NAN, 1, 1, NAN], nan_ok=True)


def test_activity_as_a_naive_loop_over_random_labels():
    names = tuple(f"AU{number}" for number in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 38, 77))
    draw = torch.Generator().manual_seed(0)
    values = torch.tensor([0.0, 0.0, 1.0, NAN])[torch.randint(4, (200, len(names)), generator=draw)]
    found = region_activity(values, names)
    kinds = set()
    for face in range(200):
        for number, region in enumerate(REGIONS):
            here = [
                value
                for name, value in zip(names, values[face].tolist(), strict=True)
                if region in AU_REGIONS.get(name, ())
            ]
            expected = 1.0 if 1.0 in here else NAN if not here or any(math.isnan(value) for value in here) else 0.0
            kinds.add(str(expected))
            assert found[face, number].item() == pytest.approx(expected, nan_ok=True)
    assert kinds == {"1.0", "0.0", "nan"}


def test_no_vocabulary_and_no_face():
    assert region_activity(torch.zeros(2, 0), ()).isnan().all()
    nobody = region_activity(torch.zeros(0, 5), NAMES)
    assert nobody.shape == (0, 6)
    assert region_maps(nobody, torch.zeros(0, 5, 2), (8, 8)).shape == (0, 6, 8, 8)


def test_maps_by_hand():
    found = region_maps(torch.tensor([[1.0, 0, NAN, 0, 1, NAN]]), POINTS, (64, 64))[0]
    brows, mouth = torch.zeros(64, 64), torch.zeros(64, 64)
    brows[5:19, 10:52] = 1  # x 30.5 ± 21, y 20.5 - 16 to 20.5 - 2
    mouth[34:50, 14:48] = 1  # x 30.5 ± 17, y 20.5 + 13 to 20.5 + 29
    assert found[0].equal(brows) and found[4].equal(mouth)
    assert found[[1, 3]].eq(0).all() and found[[2, 5]].isnan().all()


def test_maps_as_a_naive_loop():
    torch.manual_seed(0)
    points = torch.tensor(TEMPLATE)[None] * 24 + torch.randn(4, 5, 2)
    activity = torch.tensor([0.0, 1.0, NAN])[torch.randint(3, (4, 6))]
    found, boxes = region_maps(activity, points, (24, 20)), region_boxes(points)
    for face in range(4):
        for region in range(6):
            x0, x1, y0, y1 = boxes[face, region].tolist()
            for row in range(24):
                for column in range(20):
                    inside = float(x0 <= column <= x1 and y0 <= row <= y1)
                    expected = activity[face, region].item() * inside
                    assert found[face, region, row, column].item() == pytest.approx(expected, nan_ok=True)


# ---- the loss


def test_loss_by_hand():
    logits = torch.tensor([[[[math.log(3), 0.0]], [[5.0, -5.0]]]])
    maps = torch.full((1, 2, 2, 4), NAN)
    maps[0, 0] = torch.tensor([[1.0, 1, 1, 0], [1, 1, 0, 1]])  # the places' shares are 1 and 1/2
    expected = (-math.log(0.75) + math.log(2)) / 2
    assert attention_loss(logits, maps).item() == pytest.approx(expected, rel=1e-6)
    maps[0, 1] = torch.tensor([[0.0, 0, NAN, 1], [0, 0, 1, 1]])  # one unknown pixel leaves its place out
    expected = (-math.log(0.75) + math.log(2) + math.log1p(math.exp(5))) / 3
    assert attention_loss(logits, maps).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("picture", "grid"), [((6, 8), (3, 4)), ((5, 7), (2, 3)), ((4, 4), (4, 4))])
def test_loss_as_a_naive_loop(picture, grid):
    torch.manual_seed(0)
    logits = torch.randn(3, 6, *grid)
    maps = torch.rand(3, 6, *picture)
    maps[torch.rand(3, 6) < 0.3] = NAN
    total, count = 0.0, 0
    for face in range(3):
        for region in range(6):
            for row in range(grid[0]):
                for column in range(grid[1]):
                    y = [row * picture[0] // grid[0], -(-(row + 1) * picture[0] // grid[0])]
                    x = [column * picture[1] // grid[1], -(-(column + 1) * picture[1] // grid[1])]
                    share = maps[face, region, y[0] : y[1], x[0] : x[1]].mean().item()
                    if not math.isnan(share):
                        p = sigmoid(logits[face, region, row, column].item())
                        total -= share * math.log(p) + (1 - share) * math.log(1 - p)
                        count += 1
    assert 0 < count < logits.numel()
    assert attention_loss(logits, maps).item() == pytest.approx(total / count, rel=1e-5)


def test_loss_equals_timms_in_values_and_gradients():
    torch.manual_seed(0)
    logits = torch.randn(2, 6, 4, 4, requires_grad=True)
    maps = torch.rand(2, 6, 4, 4)
    found = attention_loss(logits, maps)
    expected = BinaryCrossEntropy(smoothing=0.0)(logits.flatten(1), maps.flatten(1))
    torch.testing.assert_close(found, expected)
    (one,), (other,) = (torch.autograd.grad(item, logits) for item in (found, expected))
    torch.testing.assert_close(one, other)


def test_loss_gradcheck_with_unknown_places():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    maps = torch.rand(2, 3, 6, 6, dtype=torch.float64)
    maps[0, 1], maps[1, 2, 0, 0] = NAN, NAN
    assert torch.autograd.gradcheck(lambda logits: attention_loss(logits, maps), (logits,))
    attention_loss(logits, maps).backward()
    zero = torch.zeros(2, 3, 2, 2, dtype=torch.bool)
    zero[0, 1], zero[1, 2, 0, 0] = True, True
    assert (logits.grad == 0).equal(zero), "only what is unknown has no gradient"


def test_loss_is_least_at_the_truth_and_grows_the_further_off():
    maps = region_maps(torch.tensor([[1.0, 0, 0, 0, 0, 0]]), POINTS, (64, 64))
    truth = torch.nn.functional.adaptive_avg_pool2d(maps, (8, 8)).clamp(1e-6, 1 - 1e-6).logit()
    steps = [attention_loss(truth + shift, maps).item() for shift in (0.0, 0.5, 1.0, -0.5, -1.0)]
    assert steps[0] < steps[1] < steps[2] and steps[0] < steps[3] < steps[4]


def test_loss_of_nothing_known_is_zero_with_zero_gradient():
    logits = torch.randn(2, 6, 2, 2, requires_grad=True)
    loss = attention_loss(logits, torch.full((2, 6, 8, 8), NAN))
    loss.backward()
    assert loss.item() == 0 and logits.grad.eq(0).all()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_loss_in_half_precision_and_of_extreme_logits(kind):
    logits = torch.tensor([60000.0, -60000.0, 0.5, -0.5]).reshape(1, 1, 2, 2)
    maps = torch.tensor([0.0, 1.0, 1.0, 0.0]).reshape(1, 1, 2, 2)
    found = attention_loss(logits.to(kind), maps)
    assert found.dtype == torch.float32 and found.isfinite()
    torch.testing.assert_close(found, attention_loss(logits.to(kind).float(), maps))
    single = attention_loss(logits[..., :1, 1:].to(kind), maps[..., :1, 1:])
    assert single.item() == pytest.approx(60000, rel=0.01)


def test_loss_refuses_other_regions():
    with pytest.raises(DataError, match=r"\(2, 6\); got \(2, 5\)"):
        attention_loss(torch.zeros(2, 6, 2, 2), torch.zeros(2, 5, 8, 8))
