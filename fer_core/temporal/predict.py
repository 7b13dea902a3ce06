"""Predictions for clips: of a clip model, and of a still-image model averaged over the frames."""

import torch
from torch import Tensor, nn

from fer_core.losses.common import at_least_float32
from fer_core.models import FerModel
from fer_core.temporal.clips import ClipSet
from fer_core.temporal.frames import log_mean_probability, on_frames


@torch.inference_mode()
def predict_clips(model: nn.Module, clips: ClipSet, frames: int = 256) -> Tensor:
    """Return log-probabilities (N, K), float32 on the CPU, in evaluation mode.

    Args:
        model: of `build_clip_model`, or a `StillAverage`.
        clips: on any device; batches move to the model's.
        frames: at most this many in one forward pass, padded ones included, but never less than a clip's. It does not
            change the result.
    """
    model.eval()
    device = next((tensor.device for tensor in model.parameters()), clips.rows.device)
    index = torch.arange(len(clips), device=clips.rows.device)
    logs = []
    for part in index.split(max(1, frames // clips.rows.shape[1])):
        images, mask = clips.clips(part)
        logs.append(model(images.to(device), mask.to(device)).float().log_softmax(dim=1).cpu())
    return torch.cat(logs)


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


def average_still(model: FerModel, clips: ClipSet, frames: int = 256) -> Tensor:
    """Return the log of the mean probability that a still-image model gives a clip's frames, (N, K) on the CPU.

    This is `temporal: none`: clips teach the model nothing. The arguments are those of `predict_clips`.
    """
    return predict_clips(StillAverage(model), clips, frames)
