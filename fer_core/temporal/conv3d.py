"""3-D residual network on the pixels: R3D of Tran et al., "A Closer Look at Spatiotemporal Convolutions", CVPR 2018.

A stem of 3 × 7 × 7 (strides 1, 2, 2), then four stages of residual blocks with two convolutions of 3 × 3 × 3; the
second, third and fourth halve time, height and width and double the channels. The blocks are torchvision's, whose
`VideoResNet` has its widths fixed; with `width` 64 the names and shapes of all tensors, and the outputs, are those of
torchvision's `r3d_18`. A width of 16 is made for a CPU and small clips.

Padding. Behind a convolution, padded time steps are not zero any more, and zeros would enter the statistics of the
batch norms. So every batch norm normalises the real time steps only, and the padded ones are set to zero: the next
convolution then sees what it sees at a clip's end, its own zero padding. Time step t behind a stride of 2 is real
where step 2t before it is, which is the ⌈n / 2⌉ steps that a clip of n frames has on its own. The last mean is over
the real steps.
"""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchvision.models.video.resnet import BasicBlock, BasicStem, Conv3DSimple

from fer_core.temporal.frames import check_sizes

# what torchvision normalises its video networks' pictures with (Kinetics-400, RGB in 0..1)
MEAN = (0.43216, 0.394666, 0.37645)
STD = (0.22803, 0.22145, 0.216989)
BLOCKS = 2  # of each stage: eight of two convolutions, the stem and the head are the 18 of R3D-18


class Block(BasicBlock):
    """torchvision's residual block, blind to padding: (B, C, T, H, W) to (B, C', T', H', W')."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        shortcut = None
        if stride != 1 or channels != out:
            shortcut = nn.Sequential(
                nn.Conv3d(channels, out, kernel_size=1, stride=stride, bias=False), nn.BatchNorm3d(out)
            )
        super().__init__(channels, out, Conv3DSimple, stride, shortcut)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the block's output, zero where padded, and the mask of its time steps.

        Args:
            x: zero where padded.
            mask: bool (B, T); None where nothing is padded.
        """
        after = None if mask is None else mask[:, :: self.stride]
        y = _normalised(self.conv1[1], self.conv1[0](x), after).relu()
        y = _normalised(self.conv2[1], self.conv2[0](y), after)
        if self.downsample is not None:
            x = _normalised(self.downsample[1], self.downsample[0](x), after)
        return (x + y).relu(), after


class Conv3d(nn.Module):
    """Clips (B, T, C, H, W) in 0..1 and mask (B, T) to logits (B, K); the normalisation is inside.

    Args:
        classes: K.
        channels: C of the pictures, 1 or 3.
        width: channels of the stem and the first stage; the stages have 1, 2, 4 and 8 times as many.
        dropout: before the head.

    Raises:
        ConfigError: a size is out of its range.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classes: int, *, channels: int, width: int, dropout: float) -> None:
        super().__init__()
        check_sizes(width, BLOCKS, dropout)
        statistics = torch.tensor(MEAN), torch.tensor(STD)
        if channels != len(MEAN):
            statistics = tuple(item.mean().repeat(channels) for item in statistics)  # type: ignore[assignment]
        self.register_buffer("mean", statistics[0].reshape(-1, 1, 1), persistent=False)
        self.register_buffer("std", statistics[1].reshape(-1, 1, 1), persistent=False)
        self.stem = BasicStem()
        self.stem[0] = nn.Conv3d(channels, width, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
        self.stem[1] = nn.BatchNorm3d(width)
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, stride=2)
        self.grad_checkpointing = False
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(8 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):  # He et al., ICCV 2015, as torchvision's
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep the activations between blocks alone, or all; named as timm's networks have it."""
        self.grad_checkpointing = enable

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """Return the logits."""
        x = ((images - self.mean) / self.std).masked_fill(~mask[:, :, None, None, None], 0.0).transpose(1, 2)
        steps = None if bool(mask.all()) else mask  # asked once: on a GPU the answer is waited for
        x = _normalised(self.stem[1], self.stem[0](x), steps).relu()
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                if self.grad_checkpointing and torch.is_grad_enabled():
                    x, steps = checkpoint(block, x, steps, use_reentrant=False)
                else:
                    x, steps = block(x, steps)
        places = x.mean(dim=(3, 4))
        pooled = places.mean(dim=2) if steps is None else places.sum(dim=2) / steps.sum(dim=1, keepdim=True)
        return self.fc(self.dropout(pooled))


def _stage(channels: int, out: int, stride: int) -> nn.ModuleList:
    widths = [channels] + [out] * (BLOCKS - 1)
    strides = [stride] + [1] * (BLOCKS - 1)
    return nn.ModuleList([Block(before, out, step) for before, step in zip(widths, strides, strict=True)])


def _normalised(norm: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
    """Batch-normalise the real time steps of x (B, C, T, H, W) and set the others to zero."""
    if mask is None:
        found: Tensor = norm(x)
        return found
    steps = x.transpose(1, 2)
    real = norm(steps[mask][:, :, None])[:, :, 0]  # (V, C, H, W) as V clips of one step
    out = torch.zeros_like(steps, dtype=real.dtype)
    out[mask] = real
    return out.transpose(1, 2)
