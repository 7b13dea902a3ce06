"""The model: normalisation, timm backbone, attention, pooling, an emotion head and an AU head."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fer_core.errors import ConfigError
from fer_core.models.attention import OnMap
from fer_core.models.backbone import final_map, takes_one_size
from fer_core.targets import compound_log_scores


class Output(NamedTuple):
    """What the heads say of B pictures.

    Attributes:
        logits: (B, K), of the data set's classes.
        scores: (B, C), what the emotion loss is computed on: the logits themselves, or with `target: compound` the
            logits of the basic emotions.
        features: (B, D), pooled, before the heads.
        au_logits: (B, A), None without an AU head.
        intensities: (B, A) of the AUs, in units of the strongest (FACS E = 1); None where they are not learned.
        attention: (B, R, h, w), the logits of an AU-guided attention's maps of the face's regions; None without one.
    """

    logits: Tensor
    scores: Tensor
    features: Tensor
    au_logits: Tensor | None
    intensities: Tensor | None
    attention: Tensor | None = None


class Encoder(nn.Module):
    """Pictures (B, C, H, W) in 0..1 to pooled features (B, D); the normalisation is inside.

    Attributes:
        backbone: the timm network without classifier.
        attention: a module on its final feature map, or the identity.
        num_features: D.
        size: side of the pictures in pixels that the network was built for, and the only one if `fixed`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        attention: nn.Module,
        statistics: tuple[Tensor, Tensor],
        in_chans: int,
        size: int,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.attention = attention
        self.register_buffer("mean", statistics[0].reshape(1, -1, 1, 1))
        self.register_buffer("std", statistics[1].reshape(1, -1, 1, 1))
        self.num_features = final_map(backbone, in_chans, size)[1].shape[1]
        self.size = size
        self.fixed = takes_one_size(backbone)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled features (B, D) before the heads, attention applied."""
        return self.attend(x)[0]

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the pooled features (B, D), and the logits (B, R, h, w) of an attention that is to be taught.

        Raises:
            ConfigError: the network takes one size, and the pictures have another.
        """
        if self.fixed and tuple(x.shape[2:]) != (self.size, self.size):
            raise ConfigError(
                f"Expected pictures of {self.size} x {self.size} px, the `profiles.<profile>.size` that the network "
                f"was built for; got {x.shape[2]} x {x.shape[3]}."
            )
        features = self.backbone.forward_features(self._normalised(x))  # type: ignore[operator]
        logits = None
        if isinstance(self.attention, OnMap):
            features, logits = self.attention.attend(features)
        else:
            features = self.attention(features)
        return self.backbone.forward_head(features, pre_logits=True), logits  # type: ignore[operator]

    def _normalised(self, x: Tensor) -> Tensor:
        """Return (x − mean) / std; of channels-last pictures on a CPU row by row, in a third of the time."""
        if x.is_cuda or not x.is_contiguous(memory_format=torch.channels_last):
            return (x - self.mean) / self.std
        mean, std = (value.flatten().repeat(x.shape[3]) for value in (self.mean, self.std))
        rows = (x.permute(0, 2, 3, 1).flatten(2) - mean) / std
        return rows.unflatten(2, (x.shape[3], x.shape[1])).permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled features (B, D)."""
        return self.features(x)


class FerModel(nn.Module):
    """An encoder with an emotion head and, where asked for, an AU head.

    Attributes:
        encoder: the `Encoder`; `backbone`, `attention` and `features` are its own.
        head: (B, D) -> (B, C).
        au_head: (B, D) -> (B, A), or (B, 2 A) with intensities; or None.
        pairs: (K, C) of 0 and 1, the basic emotions of each class, where the head speaks of those; or None.
    """

    pairs: Tensor | None

    def __init__(
        self,
        encoder: Encoder,
        head: nn.Module,
        au_head: nn.Module | None = None,
        *,
        pairs: Tensor | None = None,
        intensities: bool = False,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(drop_rate)
        self.head = head
        self.au_head = au_head
        self.intensities = intensities
        self.register_buffer("pairs", pairs, persistent=False)  # they follow from the classes' names
        self.num_features = encoder.num_features

    @property
    def backbone(self) -> nn.Module:
        """The timm network."""
        return self.encoder.backbone

    @property
    def attention(self) -> nn.Module:
        """The module on the final feature map."""
        return self.encoder.attention

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled features (B, D) of pictures (B, C, H, W) in 0..1."""
        return self.encoder(x)

    def forward(self, x: Tensor) -> Output:
        """Return what the heads say of pictures (B, C, H, W) in 0..1."""
        pooled, maps = self.encoder.attend(x)
        features = self.dropout(pooled)
        scores = self.head(features)
        logits = scores
        if self.pairs is not None:
            logits = compound_log_scores(scores.float().log_softmax(dim=1), self.pairs)
        aus = None if self.au_head is None else self.au_head(features)
        if aus is None or not self.intensities:
            return Output(logits, scores, features, aus, None, maps)
        units, intensities = aus.chunk(2, dim=1)
        return Output(logits, scores, features, units, intensities, maps)
