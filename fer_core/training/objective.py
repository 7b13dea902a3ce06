"""What a training step minimises: emotion + λ · AU; the few-shot episodes' and the attention's losses on top.

λ is `au_weight`, or learned from the tasks' uncertainty; the AU part is detection + `au_intensity` · intensity. The
class weights of `drw` (Cao et al., NeurIPS 2019) come in late: the first epochs learn features from all faces alike.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from fer_core.choices import UNCERTAINTY
from fer_core.losses import build_loss
from fer_core.losses.attention import attention_loss
from fer_core.losses.au import build_au_loss
from fer_core.losses.common import EmotionLoss
from fer_core.losses.intensity import masked_intensity_loss
from fer_core.losses.uncertainty import UncertaintyWeights
from fer_core.models import Output
from fer_core.recipe import Recipe
from fer_core.training.faces import FaceSet


class Labels(NamedTuple):
    """What is known of B faces: target (B, C) probabilities, aus (B, A) and intensities (B, A), NaN where unknown.

    regions are the target maps (B, R, H, W) of an AU-guided attention, NaN where unknown; None without one.
    """

    target: Tensor
    aus: Tensor
    intensities: Tensor
    regions: Tensor | None = None

    def only(self, rows: slice) -> "Labels":
        """Return the labels of some of the faces."""
        return Labels(*(None if item is None else item[rows] for item in self))  # type: ignore[arg-type]


class Objective(nn.Module):
    """The losses of one recipe. Its parameters, if any, are the learned weights of the tasks."""

    def __init__(self, recipe: Recipe, faces: FaceSet, targets: Tensor) -> None:
        """Take class and AU counts from the train faces and their targets (N, C)."""
        super().__init__()
        self.recipe = recipe
        self.epoch = 0
        counts = targets.sum(dim=0)
        deferred = recipe.drw is not None
        self.early = _emotion_loss(recipe, counts, reweight=False if deferred else None)
        self.late = _emotion_loss(recipe, counts, reweight=True) if deferred else self.early
        self.au_loss = build_au_loss(
            recipe.au_loss,
            positives=(faces.aus == 1).sum(dim=0),
            annotated=(~faces.aus.isnan()).sum(dim=0),
            asl_gamma_pos=recipe.asl_gamma_pos,
            asl_gamma_neg=recipe.asl_gamma_neg,
            asl_clip=recipe.asl_clip,
        )
        self.uncertainty = UncertaintyWeights(2) if recipe.au_weight == UNCERTAINTY else None

    @property
    def emotion_loss(self) -> EmotionLoss:
        """The emotion loss of the epoch at hand."""
        recipe = self.recipe
        late = recipe.drw is not None and self.epoch >= recipe.drw * recipe.epochs
        return self.late if late else self.early

    def forward(
        self,
        output: Output,
        scores: Tensor,
        labels: Labels,
        weights: Tensor | None = None,
        few_shot: Tensor | None = None,
        whole: Labels | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar to minimise, and its parts, detached, by their names in the history.

        Args:
            output: of the model.
            scores: (B, C), `output.scores` or what the head makes of them in training.
            labels: of the same faces, mixed where they are.
            weights: (B,) of the faces' emotion losses; None for 1.
            few_shot: scalar loss of an episode.
            whole: of all faces of the step, where these are some of them: means are then over all, so that the
                losses of the pieces add up to the loss of the whole.
        """
        losses = self.emotion_loss.per_sample(scores.float(), labels.target)
        faces = 1.0 if whole is None else len(labels.target) / len(whole.target)
        emotion = losses.mean() if weights is None else (weights * losses).mean()
        total = emotion = emotion if whole is None else emotion * faces
        parts: dict[str, Tensor] = {"emotion_loss": emotion.detach()}
        if output.au_logits is not None:
            au = self.au_loss(output.au_logits.float(), labels.aus)
            if whole is not None:
                au = au * _known_share(labels.aus, whole.aus)
            parts["au_loss"] = au.detach()
            if output.intensities is not None:
                intensity = masked_intensity_loss(output.intensities.float(), labels.intensities)
                if whole is not None:
                    intensity = intensity * _known_share(labels.intensities, whole.intensities)
                parts["au_intensity_loss"] = intensity.detach()
                au = au + self.recipe.au_intensity * intensity
            total = self._join(emotion, au, labels if whole is None else whole, output.intensities is not None, faces)
        if few_shot is not None:
            parts["few_shot_loss"] = few_shot.detach()
            total = total + self.recipe.few_shot_weight * few_shot
        if output.attention is not None and labels.regions is not None:
            places = attention_loss(output.attention, labels.regions)
            if whole is not None and whole.regions is not None:
                grid = (output.attention.shape[-2], output.attention.shape[-1])
                shown, all_shown = (adaptive_avg_pool2d(item, grid) for item in (labels.regions, whole.regions))
                places = places * _known_share(shown, all_shown)
            parts["attention_loss"] = places.detach()
            total = total + self.recipe.attention_weight * places
        return total, parts

    def _join(self, emotion: Tensor, au: Tensor, step: Labels, intensities: bool, faces: float) -> Tensor:
        """Add the tasks up, of which the losses are those of a share `faces` of the `step`'s faces.

        With learned weights their own term has to be that share of it too, and the AU task has none where no face of
        the step has a label of it.
        """
        if self.uncertainty is None:
            return emotion + float(self.recipe.au_weight) * au
        told = (~step.aus.isnan()).any()
        if intensities:
            told = told | (~step.intensities.isnan()).any()
        known = torch.stack([torch.ones_like(told), told])
        if faces == 1:
            return self.uncertainty([emotion, au], known)
        return self.uncertainty([emotion / faces, au / faces], known) * faces

    def learned_weights(self) -> dict[str, float]:
        """Return the tasks' learned weights, for the history; nothing where they are fixed."""
        if self.uncertainty is None:
            return {}
        emotion, au = self.uncertainty.weights().tolist()
        return {"emotion_task_weight": emotion, "au_task_weight": au}


def _known_share(labels: Tensor, whole: Tensor) -> Tensor:
    """Return how large a share of the labels that are known in `whole` stands in `labels`; 0 where none is known."""
    return (~labels.isnan()).sum() / (~whole.isnan()).sum().clamp(min=1)


def _emotion_loss(recipe: Recipe, counts: Tensor, reweight: bool | None) -> EmotionLoss:
    return build_loss(
        recipe.loss,
        class_counts=counts,
        focal_gamma=recipe.focal_gamma,
        cb_beta=recipe.cb_beta,
        label_smoothing=recipe.label_smoothing,
        ldam_margin=recipe.ldam_margin,
        margin_scale=recipe.head_scale if recipe.head == "cosine" else 1.0,
        logit_tau=recipe.logit_tau,
        reweight=reweight,
    )
