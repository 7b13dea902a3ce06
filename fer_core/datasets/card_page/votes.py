"""How much those who labelled the pictures agreed."""

import numpy as np

from fer_core.datasets.card_page.content import Content
from fer_core.manifest import stack_lists
from fer_core.pages.histogram import histogram, short
from fer_core.pages.html import Child, Markup, figures, table, tag


def agreement(votes: np.ndarray) -> np.ndarray:
    """Return the share (N,) that the most voted label of each picture has, of votes (N, V) that sum to 1."""
    return np.asarray(votes.max(axis=1))


def entropy(votes: np.ndarray) -> np.ndarray:
    """Return how spread the votes (N, V) are: (N,), 0 all on one label, 1 the same on all.

    Example:
        >>> entropy(np.array([[1.0, 0.0], [0.5, 0.5]])).tolist()
        [0.0, 1.0]
    """
    logs = np.log(votes, out=np.zeros_like(votes), where=votes > 0)
    return np.abs((votes * logs).sum(axis=1)) / np.log(max(votes.shape[1], 2))


def votes(content: Content) -> list[Markup]:
    """Return histograms of agreement and entropy of train and validation, and how often each label is voted most."""
    rows = content.told()
    given = rows.loc[rows["votes"].notna(), "votes"]
    if given.empty:
        return [tag("p", "This set has no votes: of every picture one label is known, not how sure it is.")]
    shares = stack_lists(given, len(given.iloc[0])).astype(np.float64)
    names = list(content.card.get("vote_names") or [])
    names = names if len(names) == shares.shape[1] else [f"label {k}" for k in range(shares.shape[1])]
    most = shares.argmax(axis=1)
    cells: list[list[Child]] = [
        [name, f"{(most == k).sum():,}", short(round(100 * float(shares[:, k].mean()), 1))]
        for k, name in enumerate(names)
    ]
    said = f"{len(given):,} of {len(rows):,} pictures of train and validation have votes."
    unsure = int((agreement(shares) < 0.5).sum())
    said += f" In {unsure:,} of them no label has half of the votes."
    drawn = figures(
        histogram(100 * agreement(shares), "Share of the most voted label", " %"),
        histogram(entropy(shares), "Entropy of the votes, 0 agreed to 1 spread evenly"),
        tag("div", table(["Label", "Most voted", "Mean share, %"], cells, "Votes by label")),
    )
    return [tag("p", said), drawn]
