"""ArcFace (Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019).

    logit_j = s · cos θ_j,   and for the true identity y   s · cos(θ_y + m)

Variant: `easy_margin=False` of InsightFace. Where θ_y + m > π the cosine would rise again, so the target becomes
cos θ_y − m·sin m there, which keeps falling. (pytorch-metric-learning's ArcFaceLoss does the same.)
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.losses.common import at_least_float32

SHORTEST = 1e-2  # a shorter embedding counts as this long, or a dead one's gradient would explode


class ArcFace(nn.Module):
    """Identity logits with an additive angular margin, for `cross_entropy`.

    Args:
        features: width of the embeddings.
        identities: number of people.
        s: scale, the radius of the sphere.
        m: margin in radians.
    """

    def __init__(self, features: int, identities: int, s: float = 64.0, m: float = 0.5) -> None:
        super().__init__()
        self.s = s
        self.m = m
        self.weight = nn.Parameter(torch.empty(identities, features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B, identities), with the margin where labels (B,) int64 are given.

        Computed in float32 at least, whatever autocast says: a margin of 0.5 radians at scale 64 does not
        survive half precision.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = functional.normalize(at_least_float32(features), dim=-1, eps=SHORTEST)
            cosine = functional.linear(features, functional.normalize(self.weight.to(features), dim=-1))
            if labels is None:
                return self.s * cosine
            target = cosine.gather(1, labels[:, None])
            # the clamp keeps the root's gradient finite at θ = 0 and θ = π
            sine = (1 - target.square()).clamp(min=torch.finfo(target.dtype).eps).sqrt()
            with_margin = target * math.cos(self.m) - sine * math.sin(self.m)
            past = target - self.m * math.sin(self.m)
            with_margin = torch.where(target > math.cos(math.pi - self.m), with_margin, past)
            return self.s * cosine.scatter(1, labels[:, None], with_margin)


@torch.no_grad()
def verification_accuracy(embeddings: Tensor, ids: Tensor, generator: torch.Generator, pairs: int = 3000) -> float:
    """Return how well cosine similarity tells "same person" from "different", as LFW does (chance is 0.5).

    Balanced pairs are drawn and halved; the threshold that is best on one half is scored on the other, and the two
    scores averaged. LFW (Huang et al. 2007) does so with ten folds of published pairs.

    Args:
        embeddings: (N, D).
        ids: (N,) int64 identity of each.
        generator: a CPU generator that draws the pairs.
        pairs: at most this many of each kind.

    Returns:
        Accuracy in 0..1; NaN where fewer than two pairs of either kind exist, or an embedding is not finite.
    """
    ids = ids.cpu()
    first, second = torch.triu_indices(len(ids), len(ids), offset=1)
    same = ids[first] == ids[second]
    positive, negative = same.nonzero()[:, 0], (~same).nonzero()[:, 0]
    count = min(len(positive), len(negative), pairs)
    if count < 2 or not embeddings.isfinite().all():
        return math.nan
    chosen = [kind[torch.randperm(len(kind), generator=generator)[:count]] for kind in (positive, negative)]
    index = torch.cat(chosen)
    directions = functional.normalize(embeddings.float().cpu(), dim=-1)
    similarity = (directions[first[index]] * directions[second[index]]).sum(dim=-1)
    truth = torch.arange(2 * count) < count
    fold = torch.arange(count).repeat(2) % 2
    scores = []
    for held in (0, 1):
        threshold = best_threshold(similarity[fold != held], truth[fold != held])
        scores.append(((similarity[fold == held] > threshold) == truth[fold == held]).double().mean().item())
    return sum(scores) / 2


def best_threshold(similarity: Tensor, same: Tensor) -> float:
    """Return the threshold t for which "similarity > t" agrees with `same` most often, midway between samples."""
    order = similarity.argsort(descending=True)
    values = similarity[order].double()
    # taking the k most similar as "same" is right for the k's same and the rest's different
    correct = torch.where(same[order], 1, -1).cumsum(0)
    correct[:-1][values[:-1] == values[1:]] = -len(values)  # no threshold parts equal similarities
    if correct.max() <= 0:
        return values[0].item()
    best = int(correct.argmax())
    return values[best].item() - 1e-6 if best + 1 == len(values) else values[best : best + 2].mean().item()
