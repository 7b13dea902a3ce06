"""Predictions for clips: of a clip model, and of a still-image model averaged over the frames."""

import torch
from torch import Tensor, nn

from fer_core.losses.common import at_least_float32
from fer_core.models import FerModel
from fer_core.temporal.clips import ClipSet
from fer_core.temporal.frames import log_mean_probability, on_frames


@torch.inference_mode()
def predict_clips(model: nn.Module, clips: ClipSet, batch_size: int = 32) -> Tensor:
    """Return log-probabilities (N, K), float32 on the CPU, in evaluation mode.

    Args:
        model: of `build_clip_model`, or a `StillAverage`.
        clips: on the model's device.
        batch_size: clips in one forward pass; it does not change the result.
    """
    model.eval()
    index = torch.arange(len(clips), device=clips.rows.device)
    return torch.cat([model(*clips.clips(part)).float().log_softmax(dim=1).cpu() for part in index.split(batch_size)])


class StillAverage(nn.Module):
    """A still-image model that reads clips: (B, T, C, H, W) in 0..1 and mask (B, T) to log-probabilities (B, K).

    The log of the mean probability that it gives a clip's frames, as `mean` computes it.

    Attributes:
        model: as pictures have trained it.
    """

    def __init__(self, model: FerModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """Return the log of the mean probability."""
        return log_mean_probability(at_least_float32(on_frames(self._logits, images, mask)), mask)

    def _logits(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.model(pictures).logits
        return logits


def average_still(model: FerModel, clips: ClipSet, batch_size: int = 32) -> Tensor:
    """Return the log of the mean probability that a still-image model gives a clip's frames, (N, K) on the CPU.

    This is `temporal: none`: clips teach the model nothing. The arguments are those of `predict_clips`.
    """
    return predict_clips(StillAverage(model), clips, batch_size)
