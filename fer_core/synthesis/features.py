"""Features of faces by a trained encoder, for the Fréchet distance and the search for copies."""

import torch
from torch import Tensor, nn


def features_of(encoder: nn.Module, pixels: Tensor, batch_size: int = 256) -> Tensor:
    """Return float32 (N, D) on the CPU of pixels uint8 (N, H, W, C).

    `encoder` maps pictures (B, C, H, W) in 0..1 to pooled features (B, D). It is used in evaluation mode and handed
    back as it was. It should have been trained on train faces alone: one that knows the validation faces by heart
    would find the synthetic ones far away.
    """
    device = next((item.device for item in encoder.parameters()), torch.device("cpu"))
    was_training = encoder.training
    encoder.eval()
    with torch.inference_mode():
        parts = [
            encoder(part.to(device).permute(0, 3, 1, 2).float().div_(255)).float().cpu()
            for part in pixels.split(batch_size)
        ]
    encoder.train(was_training)
    return torch.cat(parts).clone()
