"""Where a model's attention looks: its gate per place, for pictures of the report."""

import torch
from timm.layers.cbam import CbamModule, SpatialAttn
from torch import Tensor, nn

from fer_core.models.attention import OnMap
from fer_core.models.au_guided import AuGuided, gate
from fer_core.models.model import FerModel


def has_spatial_map(model: FerModel) -> bool:
    """Return whether the model's attention weighs places; `se` weighs channels only."""
    return isinstance(model.attention, OnMap) and isinstance(
        model.attention.module, CbamModule | SpatialAttn | AuGuided
    )


@torch.inference_mode()
def spatial_maps(model: FerModel, images: Tensor) -> Tensor | None:
    """Return the gates (B, h, w) in 0..1 on the grid of the final feature map, or None where no place is weighed.

    The model is asked in evaluation mode, and set back.

    Args:
        model: on the device of the pictures.
        images: (B, C, H, W) in 0..1.
    """
    if not has_spatial_map(model):
        return None
    training = model.training
    model.eval()
    try:
        logits = model.encoder.attend(images)[1]
        return _hooked_gate(model, images) if logits is None else gate(logits.float())[:, 0]
    finally:
        model.train(training)


def _hooked_gate(model: FerModel, images: Tensor) -> Tensor:
    """Catch what the sigmoid of timm's module gives; the module itself returns the features only."""
    module: nn.Module = model.attention.module  # type: ignore[assignment]
    spatial = module.spatial if isinstance(module, CbamModule) else module
    caught: list[Tensor] = []
    handle = spatial.gate.register_forward_hook(lambda _, __, output: caught.append(output))  # type: ignore[union-attr]
    try:
        model.features(images)
    finally:
        handle.remove()
    return caught[0][:, 0].float()
