"""What frozen features know of the emotions, asked while a backbone is pretrained without labels.

    kNN:    class k scores Σ over the 20 nearest train faces of class k of exp(cos / 0.07)      Wu et al., "Unsupervised
            Feature Learning via Non-Parametric Instance Discrimination", CVPR 2018, section 3.4 (200 neighbours there)
    linear: logistic regression on standardised features, as is usual for frozen features (Kolesnikov, Zhai and Beyer,
            "Revisiting Self-Supervised Visual Representation Learning", CVPR 2019)

Both are fitted on labelled train faces and scored on validation faces by UAR (balanced accuracy; 1 / classes by
chance).
They only watch: nothing is learned from them, and no weight or draw of the pretraining depends on them.
"""

import math
import warnings

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 20
TEMPERATURE = 0.07
ITERATIONS = 200  # of the logistic regression; one that has not converged by then is scored as it is


def knn_predict(train: Tensor, labels: Tensor, queries: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """Return the classes (M,) int64 of `queries` (M, D) by the nearest of `train` (N, D), labelled (N,) from 0 on.

    Distances are angles, votes are weighted by exp(cos / 0.07); with fewer train faces all of them vote.

    Example:
        >>> train = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
        >>> knn_predict(train, torch.tensor([0, 1, 1]), torch.tensor([[2.0, 0.1], [0.0, 3.0]]), 1)
        tensor([0, 1])
    """
    cosine = functional.normalize(queries.double(), dim=1) @ functional.normalize(train.double(), dim=1).T
    nearest, rows = cosine.topk(min(neighbours, len(train)), dim=1)
    # the largest vote is exp(0): nothing overflows, and the order of the classes stays the same
    votes = ((nearest - nearest[:, :1]) / TEMPERATURE).exp()
    scores = torch.zeros(len(queries), int(labels.max()) + 1, dtype=torch.float64, device=queries.device)
    return scores.scatter_add_(1, labels[rows], votes).argmax(dim=1)


def linear_predict(train: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
    """Return the classes (M,) int64 of `queries` (M, D) by logistic regression on `train` (N, D), 2 classes or more."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train.double().cpu().numpy(), labels.cpu().numpy())
    return torch.from_numpy(model.predict(queries.double().cpu().numpy()))


def probe(train: Tensor, labels: Tensor, queries: Tensor, truth: Tensor) -> dict[str, float]:
    """Return `knn_uar` and `probe_uar`, in 0..1, of validation features `queries` (M, D) with classes `truth` (M,).

    UAR is the mean recall of the classes that occur in `truth`. NaN where it cannot be asked: no query, train faces of
    fewer than two classes, or features that are not finite.
    """
    known = len(queries) > 0 and len(labels.unique()) > 1
    if not (known and bool(train.isfinite().all()) and bool(queries.isfinite().all())):
        return {"knn_uar": math.nan, "probe_uar": math.nan}
    answers = {
        "knn_uar": knn_predict(train, labels, queries),
        "probe_uar": linear_predict(train, labels, queries),
    }
    occurring = truth.unique().cpu().numpy()
    return {
        name: float(recall_score(truth.cpu(), found.cpu(), labels=occurring, average="macro", zero_division=0))
        for name, found in answers.items()
    }
