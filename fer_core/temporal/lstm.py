"""LSTM over the frames' features (Hochreiter & Schmidhuber, "Long Short-Term Memory", Neural Computation 1997).

Variant: torch's, with forget gate and without peepholes, in both directions (Graves & Schmidhuber, Neural Networks
2005), since a clip is known whole; z = W · dropout(mean_t [h_t forward, h_t backward]) + b. The mean over frames and
not the last state: an expression's apex stands in the middle of a clip, and the last state is often neutral again.
"""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fer_core.temporal.frames import check_sizes, masked_mean


class Lstm(nn.Module):
    """Features (B, T, D) and mask (B, T) to logits (B, K).

    Args:
        features: D.
        classes: K.
        hidden: width of each direction's state.
        layers: LSTM layers, each on the outputs of both directions of the one before.
        dropout: between layers and before the head.

    Raises:
        ConfigError: a size is out of its range.
    """

    def __init__(self, features: int, classes: int, *, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        check_sizes(hidden, layers, dropout)
        # not one LSTM of many layers: cuDNN keeps a random state of its own for the dropout between them, which a
        # resumed run would not find again
        widths = [features, *([2 * hidden] * (layers - 1))]
        self.layers = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True, bidirectional=True) for width in widths)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the logits; packed sequences end with their last frame, so padding is never read."""
        lengths, states = mask.sum(dim=1).cpu(), features
        for number, layer in enumerate(self.layers):
            inputs = states if number == 0 else self.dropout(states)
            packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
            states, _ = pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=mask.shape[1])
        return self.head(self.dropout(masked_mean(states, mask)))
