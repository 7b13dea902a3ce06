"""What the model is asked to predict: the class, people's votes on the classes, or their votes on basic emotions.

    hard       y_k = 1 for the published class, 0 elsewhere                            C = K classes
    votes      y_k ∝ v_k, or v_a·v_b where class k is the compound of emotions a, b    C = K classes
    compound   y_j = v_j, or ½ and ½ on the class's two emotions without votes         C = V basic emotions

Label distribution learning: Geng, "Label Distribution Learning", TKDE 2016; Gao et al., "Deep Label Distribution
Learning with Label Ambiguity", TIP 2017. Votes as targets for faces: Barsoum et al., "Training Deep Networks for
Facial Expression Recognition with Crowd-Sourced Label Distribution", ICMI 2016 (its variant CEL, cross-entropy).

These papers minimise KL(y‖softmax z) = Σ_k y_k·log y_k − Σ_k y_k·log softmax(z)_k. Its first term, minus the
target's entropy, does not depend on z and has no gradient, so the training loop uses the second alone: the soft
cross-entropy, which every loss here extends. The two losses' values differ, the trained models do not.

The product v_a·v_b is the chance that two independent voters, one after the other, name the two emotions (up to
the factor 2 of their order, which the normalisation takes away). Its largest value over all pairs is that of the
two most voted emotions, so its argmax is that class wherever that pair is published; a sum v_a + v_b has the same
argmax, but gives a pair a share even though nobody named its second emotion.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fer_core.errors import ConfigError, DataError, unknown_name
from fer_core.labels import BASIC_EMOTIONS, compound_pair
from fer_core.losses.common import at_least_float32

TARGETS = ("hard", "votes", "compound")


def pair_matrix(classes: Sequence[str], vote_names: Sequence[str] | None) -> Tensor:
    """Return the two basic emotions of every compound class, as ones in a float32 matrix (K, V) of zeros.

    Args:
        classes: K names.
        vote_names: V names of the columns; None stands for `BASIC_EMOTIONS`.

    Raises:
        ConfigError: a class is not the compound of two different columns.

    Example:
        >>> pair_matrix(["sadly angry"], ["sadness", "fear", "anger"]).tolist()
        [[1.0, 0.0, 1.0]]
    """
    columns = list(BASIC_EMOTIONS if vote_names is None else vote_names)
    pairs = torch.zeros(len(classes), len(columns))
    for row, name in zip(pairs, classes, strict=True):
        pair = compound_pair(name, columns)
        if pair is None:
            raise ConfigError(
                f"`target: compound` needs classes that are pairs of the basic emotions {', '.join(columns)}; "
                f"{name!r} is none. Use `target: hard`, or `target: votes` where the data set has votes."
            )
        row[list(pair)] = 1
    return pairs


def vote_shares(votes: Tensor, classes: Sequence[str], vote_names: Sequence[str]) -> Tensor:
    """Turn votes on emotions into shares of the classes.

    Where every class is a vote column (FERPlus: eight of ten), the shares are these columns, renormalised: votes
    for "unknown" and "not a face" name no class. Where the classes are compounds, the share of the pair (a, b) is
    v_a·v_b over the sum of all published pairs.

    Args:
        votes: (N, V), not negative; NaN rows where a face has none. Only ratios within a row matter.
        classes: K names.
        vote_names: V names.

    Returns:
        Shares (N, K), rows summing to 1; a row of NaN where no vote is left or no published pair has both its
        emotions voted for. Half precision comes back as float32.

    Raises:
        ConfigError: the classes are neither vote columns nor pairs of them.
        ValueError: `votes` is not of shape (N, V).

    Example:
        >>> vote_shares(torch.tensor([[6.0, 2.0, 2.0]]), ["anger", "fear"], ["anger", "fear", "unknown"]).tolist()
        [[0.75, 0.25]]
    """
    _check_columns(votes, vote_names)
    votes = at_least_float32(votes)
    if set(classes) <= set(vote_names):
        shares = votes[:, [list(vote_names).index(name) for name in classes]]
    else:
        try:
            first, second = _columns(pair_matrix(classes, vote_names).to(votes.device))
        except ConfigError:
            raise ConfigError(
                "`target: votes` needs classes that are vote columns or pairs of them; the votes are on "
                f"{', '.join(vote_names)} and the classes are {', '.join(classes)}."
            ) from None
        shares = votes[:, first] * votes[:, second]
    return shares / shares.sum(dim=1, keepdim=True)  # 0/0 is the NaN of a row with nothing left


def emotion_targets(
    name: str, labels: Tensor, votes: Tensor | None, classes: Sequence[str], vote_names: Sequence[str] | None
) -> Tensor:
    """Return the target distribution of every face.

    Args:
        name: one of `TARGETS`.
        labels: class indices (N,), int64, −1 where unknown.
        votes: (N, V) summing to 1, NaN rows where a face has none; None where no face has any.
        classes: K names.
        vote_names: V names; None stands for `BASIC_EMOTIONS`.

    Returns:
        Targets (N, C), float32, on the device of `labels`; C is V for compound and K otherwise. Never NaN: mixup
        blends targets linearly, and one NaN would spread to its partner. A row sums to 1, or is all zeros where
        neither class nor votes tell anything: then the soft cross-entropy is 0 and teaches nothing.

    Raises:
        ConfigError: the target is not known, or the classes do not allow it (see `fer_core.labels.why_not`).
        DataError: a label is no class index.
        ValueError: `votes` is not of shape (N, V).

    Example:
        >>> names = ["sadness", "fear", "anger"]
        >>> emotion_targets("compound", torch.tensor([0]), None, ["sadly angry"], names).tolist()
        [[0.5, 0.0, 0.5]]
    """
    if name not in TARGETS:
        raise unknown_name("target", name, TARGETS)
    columns = BASIC_EMOTIONS if vote_names is None else vote_names
    if name == "compound":
        of_label = _of_label(pair_matrix(classes, columns) / 2, labels)
    else:
        of_label = _of_label(torch.eye(len(classes)), labels)
    if name == "hard" or votes is None:
        return of_label
    _check_columns(votes, columns)
    known = vote_shares(votes, classes, columns) if name == "votes" else votes
    known = known.to(of_label)
    told = known.sum(dim=1, keepdim=True) > 0  # false for NaN too
    return torch.where(told, known, of_label)


def compound_log_scores(log_p: Tensor, pairs: Tensor) -> Tensor:
    """Return log p_a + log p_b for every published pair (a, b): the K classes' logits, not normalised.

    A softmax over them scores the published pairs only, and is `vote_shares` of the predicted distribution. For a
    face without votes the soft cross-entropy with the target ½, ½ is minus half the score of its class.

    Args:
        log_p: log-probabilities of the basic emotions (B, V), as log-softmax returns them. −inf (an emotion
            that cannot be) makes −inf, never NaN.
        pairs: (K, V) from `pair_matrix`.

    Returns:
        Scores (B, K), at most 0; half precision comes back as float32.

    Example:
        >>> log_p = torch.tensor([[0.5, 0.25, 0.25]]).log()
        >>> compound_log_scores(log_p, torch.tensor([[1.0, 1.0, 0.0]])).exp().tolist()
        [[0.125]]
    """
    log_p = at_least_float32(log_p)
    first, second = _columns(pairs)
    return log_p[:, first] + log_p[:, second]  # not log_p @ pairs.T: there 0 · −inf is NaN


def _columns(pairs: Tensor) -> tuple[Tensor, Tensor]:
    first, second = pairs.topk(2, dim=1).indices.unbind(dim=1)  # nonzero() would make the GPU wait
    return first, second


def _of_label(rows: Tensor, labels: Tensor) -> Tensor:
    """Pick the row (K, C) of every label; zeros for −1, which as an index is the row appended last."""
    wrong = labels[(labels < -1) | (labels >= len(rows))]
    if len(wrong):
        raise DataError(f"Expected class indices from 0 to {len(rows) - 1}, or -1 where unknown; got {int(wrong[0])}.")
    return torch.cat([rows, rows.new_zeros(1, rows.shape[1])]).to(labels.device)[labels]


def _check_columns(votes: Tensor, vote_names: Sequence[str]) -> None:
    if votes.ndim != 2 or votes.shape[1] != len(vote_names):
        raise ValueError(f"Expected votes (N, {len(vote_names)}), a column per name; got {tuple(votes.shape)}.")
