"""How good synthetic faces are: as a whole (Fréchet distance beside its floor), and whether they are copies."""

from dataclasses import dataclass

import torch
from torch import nn

from fer_core.synthesis.copying import Copying, copying
from fer_core.synthesis.features import features_of
from fer_core.synthesis.frechet import Distance, distance_and_floor
from fer_core.synthesis.sample import synthesise
from fer_core.synthesis.train import Synthesiser
from fer_core.training.device import derived_seed
from fer_core.training.faces import FaceSet
from fer_core.training.mapped import Pixels


@dataclass(frozen=True)
class Quality:
    """What is known of a generator and the faces that it made.

    Attributes:
        frechet: of faces made with the classes of the held-out real faces, so that the classes' shares are not judged.
        features: copying among `pixels`' features.
        pixels: copying among the pixels themselves.
    """

    frechet: Distance
    features: Copying
    pixels: Copying

    def to_dict(self) -> dict[str, float]:
        """Return the figures for a metrics file."""
        return {
            "frechet": self.frechet.distance,
            "frechet_floor": self.frechet.floor,
            "frechet_faces": self.frechet.faces,
            "copies_features": self.features.share,
            "copies_pixels": self.pixels.share,
            "copies_held_out": self.features.held_out,
        }


def judge(
    synthesiser: Synthesiser, pixels: Pixels, encoder: nn.Module, train: FaceSet, held_out: FaceSet, *, seed: int
) -> Quality:
    """Judge `pixels`, uint8 (N, H, W, C), that `synthesiser` made, and the generator itself.

    Args:
        synthesiser: the generator.
        pixels: the faces that will be trained on; all are searched for copies.
        encoder: pictures (B, C, H, W) in 0..1 to features (B, D), trained on train faces alone.
        train: the faces that the generator was trained on.
        held_out: real faces that it never saw (validation): the Fréchet distance is that to them, and they say how
            near a real face comes to the train faces.
        seed: of the faces made for the Fréchet distance and of its random halves.

    Raises:
        DataError: there is no train or no held-out face.
    """
    known = (held_out.labels >= 0) & synthesiser.trained[held_out.labels.clamp(min=0)]
    counts = torch.bincount(held_out.labels[known], minlength=synthesiser.generator.classes)
    made, _ = synthesise(synthesiser, counts, derived_seed(seed, 4))
    new, known_faces, other = pixels[:], train.pixels[:], held_out.pixels[:]  # the search for copies needs all at once
    ours, seen, unseen = (features_of(encoder, item) for item in (new, known_faces, other))
    random = torch.Generator().manual_seed(derived_seed(seed, 5))
    return Quality(
        frechet=distance_and_floor(unseen[known], features_of(encoder, made), random),
        features=copying(ours, seen, unseen, "features"),
        pixels=copying(new, known_faces, other, "pixels"),
    )
