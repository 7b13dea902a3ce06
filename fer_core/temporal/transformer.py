"""Transformer encoder over the frames' features (Vaswani et al., "Attention Is All You Need", NeurIPS 2017).

A class token, as in BERT (Devlin et al., NAACL 2019), stands before the frames and ends as the clip's summary.
Positions are the paper's sinusoids: nothing to learn from some hundred clips, and a test clip may be longer than any
of training. Variant: layer norms before attention and network instead of behind (Xiong et al., ICML 2020), which
trains without a long warm-up.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.temporal.frames import check_sizes

HEADS = 4


class Transformer(nn.Module):
    """Features (B, T, D) and mask (B, T) to logits (B, K).

    Args:
        features: D.
        classes: K.
        hidden: width of the tokens, a multiple of 8 (4 attention heads; pairs of sine and cosine).
        layers: encoder layers, each with a network of width 2 · hidden.
        dropout: everywhere the paper has it.

    Raises:
        ConfigError: a size is out of its range.
    """

    def __init__(self, features: int, classes: int, *, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        check_sizes(hidden, layers, dropout, multiple=2 * HEADS)
        # the norm brings features of any backbone to the size of the sinusoids, which would else drown
        self.project = nn.Sequential(nn.Linear(features, hidden), nn.LayerNorm(hidden))
        self.token = nn.Parameter(0.02 * torch.randn(hidden))
        layer = nn.TransformerEncoderLayer(
            hidden, HEADS, 2 * hidden, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(hidden), enable_nested_tensor=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the logits; attention gives padding no weight."""
        x = self.project(features)
        x = self.dropout(x + sinusoids(x.shape[1], x.shape[2]).to(x))
        x = torch.cat([self.token.expand(len(x), 1, -1), x], dim=1)
        padded = functional.pad(~mask, (1, 0), value=False)
        return self.head(self.encoder(x, src_key_padding_mask=padded)[:, 0])


def sinusoids(count: int, width: int) -> Tensor:
    """Return the position vectors (count, width): p_t,2i = sin(t / 10000^(2i / width)), p_t,2i+1 its cosine.

    Example:
        >>> sinusoids(2, 2)
        tensor([[0.0000, 1.0000],
                [0.8415, 0.5403]])
    """
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(count)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
