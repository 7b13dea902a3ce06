"""Masked autoencoder (He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022), for timm's
VisionTransformer.

    L = mean over hidden patches p of  (1/n) ‖ d_p − (x_p − mean x_p) / √(var x_p + 1e-6) ‖²,   n values a patch

A random share of the patches is hidden; the encoder sees the others only, with their position embeddings. A light
decoder gets what the encoder says of them, one learned token for every hidden patch, and fixed sine-cosine positions
(section 3), and predicts the pixels of every patch, normalised patch by patch (var with n − 1, as the authors' code).
Only hidden patches count. After pretraining the decoder is thrown away and the encoder sees whole pictures.

As in the paper a picture is cropped and flipped and no more: colour jitter does harm here (table 1e).
"""

import math

import torch
from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from fer_core.errors import ConfigError
from fer_core.losses.common import at_least_float32
from fer_core.pretraining.views import crop

HEAD = 32  # width of one of the decoder's attention heads, as in the paper: 512 with 16 heads


def patchify(images: Tensor, height: int, width: int) -> Tensor:
    """Cut images (B, C, H, W) into patches (B, N, height · width · C), row by row, the channel last within each.

    Example:
        >>> patchify(torch.arange(8.0).reshape(1, 1, 2, 4), 2, 2)[0]
        tensor([[0., 1., 4., 5.],
                [2., 3., 6., 7.]])
    """
    count, channels, rows, columns = images.shape
    cut = images.reshape(count, channels, rows // height, height, columns // width, width)
    return cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def split_patches(noise: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """Return the numbers of the visible and of the hidden patches, (B, V) and (B, N − V), by noise (B, N).

    The V = int(N · (1 − ratio)) patches with the least noise stay visible, from 1 to N − 1 of them.
    """
    patches = noise.shape[1]
    visible = min(max(int(patches * (1 - ratio)), 1), patches - 1)
    order = noise.argsort(dim=1, stable=True)
    return order[:, :visible], order[:, visible:]


def masked_loss(predicted: Tensor, patches: Tensor, hidden: Tensor) -> Tensor:
    """Return the scalar loss: the mean squared error on the hidden patches' normalised pixels.

    Args:
        predicted: (B, N, n), of every patch.
        patches: (B, N, n) pixels; a patch of one colour has the target 0.
        hidden: (B, M) numbers of the patches that were hidden.
    """
    predicted, patches = at_least_float32(predicted), at_least_float32(patches)
    wanted = (patches - patches.mean(dim=-1, keepdim=True)) / (patches.var(dim=-1, keepdim=True) + 1e-6).sqrt()
    return (pick(predicted, hidden) - pick(wanted, hidden)).square().mean()


def pick(tokens: Tensor, index: Tensor) -> Tensor:
    """Return the tokens (B, M, D) at `index` (B, M) of `tokens` (B, N, D)."""
    return tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[2]))


class Mae(nn.Module):
    """The transformer and its decoder.

    Args:
        backbone: an `Encoder` around a timm VisionTransformer, or that network itself; it is trained, not a copy.
        features: width of the backbone's tokens.
        mask_ratio: share of the patches that is hidden, in (0, 1) (0.75 in the paper).
        decoder_dim: width of the decoder, a multiple of 32 (512 in the paper, for an encoder of 1024).
        decoder_depth: its blocks, at least 1 (8 in the paper).

    Raises:
        ConfigError: the network is no VisionTransformer, or a setting is out of its range.
    """

    positions: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        *,
        mask_ratio: float = 0.75,
        decoder_dim: int = 512,
        decoder_depth: int = 8,
    ) -> None:
        super().__init__()
        vit = getattr(backbone, "backbone", backbone)
        if not isinstance(vit, VisionTransformer):
            raise ConfigError(
                "Expected, for `ssl.method: mae`, a timm VisionTransformer, whose patches can be hidden; got "
                f"{type(vit).__name__}."
            )
        if not 0 < mask_ratio < 1:
            raise ConfigError(f"Expected `ssl.mask_ratio` to be above 0 and below 1; got {mask_ratio!r}.")
        if decoder_dim < HEAD or decoder_dim % HEAD:
            raise ConfigError(f"Expected `ssl.decoder_dim` to be a multiple of {HEAD}; got {decoder_dim!r}.")
        if decoder_depth < 1:
            raise ConfigError(f"Expected `ssl.decoder_depth` to be at least 1; got {decoder_depth!r}.")
        grid = vit.patch_embed.grid_size
        if grid is None or math.prod(grid) < 2:
            raise ConfigError(f"Expected, for `ssl.method: mae`, pictures of two patches or more; got a grid {grid}.")
        self.mask_ratio = mask_ratio
        self.backbone = backbone
        self.grid: tuple[int, int] = (grid[0], grid[1])
        self.patch: tuple[int, int] = tuple(vit.patch_embed.patch_size)
        self.prefix = int(vit.num_prefix_tokens)
        pixels = math.prod(self.patch) * vit.patch_embed.proj.in_channels
        self.embed = nn.Linear(features, decoder_dim)
        self.mask_token = nn.Parameter(0.02 * torch.randn(1, 1, decoder_dim))
        self.blocks = nn.Sequential(
            *(Block(decoder_dim, decoder_dim // HEAD, qkv_bias=True) for _ in range(decoder_depth))
        )
        self.norm = nn.LayerNorm(decoder_dim, eps=1e-6)
        self.pixels = nn.Linear(decoder_dim, pixels)
        self.register_buffer("positions", build_sincos2d_pos_embed(list(grid), decoder_dim)[None], persistent=False)

    @property
    def vit(self) -> VisionTransformer:
        """The timm network."""
        inner = getattr(self.backbone, "backbone", None)
        found = self.backbone if inner is None else inner
        assert isinstance(found, VisionTransformer)  # checked when this was built
        return found

    def views(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return cropped and flipped images (B, C, H, W) in 0..1, and the noise (B, N) that hides patches."""
        cropped = crop(images, generator)
        noise = torch.rand(len(images), math.prod(self.grid), generator=generator, device=generator.device)
        return cropped, noise.to(images.device)

    def loss(self, images: Tensor, noise: Tensor) -> Tensor:
        """Return the scalar loss of images (B, C, H, W) in 0..1 whose noisiest patches, by (B, N), are hidden."""
        images = self.normalised(images)
        visible, hidden = split_patches(noise, self.mask_ratio)
        predicted = self.decode(self.encode(images, visible), visible, hidden)
        return masked_loss(predicted, patchify(images, *self.patch), hidden)

    def normalised(self, images: Tensor) -> Tensor:
        """Normalise as the `Encoder` does; a bare network gets its pictures as they are."""
        if self.vit is self.backbone:
            return images
        mean, std = self.backbone.mean, self.backbone.std
        return (images - mean) / std  # type: ignore[operator]

    def encode(self, images: Tensor, visible: Tensor) -> Tensor:
        """Return tokens (B, P + V, D) of normalised images: P class and register tokens, then the visible patches."""
        tokens = self.vit._pos_embed(self.vit.patch_embed(images))
        tokens = torch.cat([tokens[:, : self.prefix], pick(tokens[:, self.prefix :], visible)], dim=1)
        # a network that averages its patches has its last norm behind the average, where timm calls it fc_norm
        encoded: Tensor = self.vit.fc_norm(self.vit.norm(self.vit.blocks(self.vit.norm_pre(tokens))))
        return encoded

    def decode(self, encoded: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return the pixels (B, N, n) of all patches, from what the encoder says of the visible ones."""
        embedded = self.embed(encoded)
        tokens = torch.cat([embedded[:, self.prefix :], self.mask_token.to(embedded).expand(*hidden.shape, -1)], dim=1)
        tokens = pick(tokens, torch.cat([visible, hidden], dim=1).argsort(dim=1)) + self.positions.to(tokens)
        decoded = self.norm(self.blocks(torch.cat([embedded[:, : self.prefix], tokens], dim=1)))
        predicted: Tensor = self.pixels(decoded[:, self.prefix :])
        return predicted

    def update_target(self, step: int, steps: int) -> float:
        """Do nothing and return 0: there is no target network."""
        return 0.0
