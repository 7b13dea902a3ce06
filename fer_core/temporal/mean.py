"""The still-image model, averaged: the log of the frames' mean probability. The order of frames says nothing.

    z = log (1/n · Σ_t softmax(W f_t + b))

The outputs are log-probabilities, of which log-softmax is the identity: cross-entropy on them is the loss −log p of
the averaged prediction, not the average of the frames' losses. A frame that tells the class is enough, and a neutral
one at the start of a clip is not taught to shout an emotion that it does not show.
"""

from torch import Tensor, nn

from fer_core.temporal.frames import log_mean_probability


class Mean(nn.Module):
    """Features (B, T, D) and mask (B, T) to log-probabilities (B, K).

    Attributes:
        head: (D) -> (K), the same shape as a still-image model's linear head, which may be loaded into it.
    """

    def __init__(self, features: int, classes: int, **sizes: float) -> None:
        """Take D and K; the sizes of other models do nothing here."""
        super().__init__()
        self.head = nn.Linear(features, classes)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the log of the mean probability."""
        return log_mean_probability(self.head(features), mask)
