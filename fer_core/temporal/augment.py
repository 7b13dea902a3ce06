"""Augmentation of clips: one change a clip, the same for all its frames, or motion would come from nowhere."""

import torch
from torch import Tensor

from fer_core.augment import AUGMENTS, generic
from fer_core.augment.batch import Batch
from fer_core.errors import unknown_name


def augment_clips(name: str, images: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
    """Return augmented clips (B, T, C, H, W) in 0..1, zero where padded; the given ones are not changed.

    A clip's frames are handed to the augmentation of pictures as the channels of one picture, (B, T · C, H, W): they
    are warped and brightened alike, and contrast is about the mean of the whole clip. Clips of one length at a time,
    so that padding does not enter that mean.

    Args:
        name: a key of `AUGMENTS`. All but "none" do what "generic" does: the others go by the landmarks and AUs of
            one picture, or change colours in ways of their own, and are not made for frames in a row.
        images: the clips.
        mask: bool (B, T).
        generator: the only source of randomness.

    Raises:
        ConfigError: the name is unknown.
    """
    if name not in AUGMENTS:
        raise unknown_name("augment", name, AUGMENTS)
    if name == "none":
        return images
    result = torch.zeros_like(images)
    lengths = mask.sum(dim=1)
    for length in lengths.unique().tolist():
        rows = (lengths == length).nonzero()[:, 0]
        clips = images[rows, :length]
        nowhere = clips.new_full((len(rows), 5, 2), torch.nan)
        batch = Batch(clips.flatten(1, 2), nowhere, clips.new_empty(len(rows), 0))
        result[rows, :length] = generic.augment(batch, generator).images.reshape(clips.shape)
    return result
