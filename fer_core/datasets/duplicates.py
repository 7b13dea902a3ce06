"""The same picture twice: a perceptual hash finds candidates, the pixels decide.

The hash is the difference hash of a small grey copy (64 bits, each whether a cell is brighter than its right
neighbour; Krawetz, "Kind of Like That", 2013): re-encoding, resizing and another brightness hardly change it. All pairs
are compared up to 50,000 pictures, the likely ones beyond that (see `near_pairs`). Faces are alike, so a small distance
proves nothing: a pair counts when the grey values of both correlate by `SAME` or more, at 32 x 32 px after removing
mean and scale. Mirrored copies are looked for in the same way. A photograph that was cropped anew is not found: of
copies without 1 of 48 px at each side about half are, without 2 px hardly any.

On the 32,134 pictures of FER2013's Training and PublicTest: of 3,718 pairs that correlate by 0.95 or more (all pairs
compared without a hash) the hash finds 3,714. 48 pairs of 0.95 to 0.96, looked at, all were the same photograph; below,
at 0.93, the first two people appeared who only look alike.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fer_core.datasets import near_pairs
from fer_core.faces.pixels import decode

SIDE = 32  # px of the copies that decide
NEAR = 10  # bits of 64 up to which two hashes are near
SAME = 0.95  # correlation from which two pictures are the same one; the module says how it was chosen
LEAST_SPREAD = 2.0  # grey values; a picture that varies less is blank, and like every other blank one
_PAIRS = 4096  # whose float copies are in memory at once: 2 x 16 MB

Copies = npt.NDArray[np.float32]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Seen:
    """What is kept of N pictures, 1 KB each.

    `ids` (N,), `digests` (N,) of the decoded pixels, `small` uint8 (N, 32, 32), grey and shrunk, `usable` (N,): False
    for a picture that could not be decoded or is blank.
    """

    ids: list[str]
    digests: list[str]
    small: npt.NDArray[np.uint8]
    usable: npt.NDArray[np.bool_]

    def copies(self, rows: npt.NDArray[np.int64] | slice = slice(None)) -> Copies:
        """Return the grey values of some pictures, of mean 0 and norm 1: (M, 32, 32)."""
        flat = self.small[rows].reshape(-1, SIDE * SIDE).astype(np.float32)
        flat -= flat.mean(axis=1, keepdims=True)
        norm = np.sqrt(np.vecdot(flat, flat))
        out: Copies = (flat / np.maximum(norm, np.float32(1e-6))[:, None]).reshape(-1, SIDE, SIDE)
        return out


@dataclass(frozen=True)
class Pairs:
    """P pairs of the same picture: rows `first` < `second`, their hashes' distance in bits, their correlation.

    `exact` says that the decoded pixels are equal, `mirrored` that one is the other's mirror image.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    bits: npt.NDArray[np.int64]
    correlation: npt.NDArray[np.float64]
    exact: npt.NDArray[np.bool_]
    mirrored: npt.NDArray[np.bool_]


def look(batches: Iterable[Iterable[tuple[str, bytes | None]]]) -> Seen:
    """Decode encoded pictures, batch by batch, and keep of each a small copy and a digest of its pixels."""
    ids, digests, usable = [], [], []
    kept = bytearray()  # grows in place; joining arrays in the end would take the room twice
    for name, data in (pair for batch in batches for pair in batch):
        picture = decode(data, grey=True) if data else None
        ids.append(name)
        if picture is None:
            digests.append("")
            usable.append(False)
            kept += bytes(SIDE * SIDE)
            continue
        pixels = picture[..., 0]
        digests.append(hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=12).hexdigest())
        small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        usable.append(float(small.astype(np.float32).std()) >= LEAST_SPREAD)
        kept += small.tobytes()
    return Seen(ids, digests, np.frombuffer(kept, np.uint8).reshape(-1, SIDE, SIDE), np.asarray(usable, bool))


def hashes(copies: Copies) -> Hashes:
    """Return the difference hash of each grey picture: `(N, 32, 32)` to `(N,)` of 64 bits."""
    if not len(copies):
        return np.zeros(0, np.uint64)
    # of a mirrored view OpenCV needs a copy; one at a time
    small = np.stack([cv2.resize(np.ascontiguousarray(copy), (9, 8), interpolation=cv2.INTER_AREA) for copy in copies])
    bits = (small[:, :, 1:] > small[:, :, :-1]).reshape(len(copies), 64)
    found: Hashes = np.packbits(bits, axis=1).view(np.uint64).ravel()
    return found


def same_pictures(seen: Seen, near: int = NEAR, same: float = SAME) -> Pairs:
    """Return every pair of the same picture, mirrored or not; see the module for what that means.

    Args:
        seen: of N pictures; those that are not `usable` are in no pair.
        near: bits of 64 up to which two hashes make a candidate.
        same: correlation from which a candidate is a pair.
    """
    rows = np.flatnonzero(seen.usable)
    plain, turned, values = _described(seen, rows)
    parts = []
    for mirrored in (False, True):
        other, asked = (turned, near_pairs.mirrored(values, SIDE)) if mirrored else (plain, values)
        for first, second in _candidates(plain, other, values, asked, near, same):
            correlation = np.concatenate([np.zeros(0), *_correlations(seen, rows[first], rows[second], mirrored)])
            kept = correlation >= same
            i, j = first[kept], second[kept]
            bits = np.bitwise_count(plain[i] ^ other[j]).astype(np.int64)
            parts.append((i, j, bits, correlation[kept], np.full(len(i), mirrored)))
    if not parts:
        empty = np.zeros(0, np.int64)
        return Pairs(empty, empty, empty, np.zeros(0), np.zeros(0, bool), np.zeros(0, bool))
    first, second, bits, correlation, mirrored_too = (np.concatenate(column) for column in zip(*parts, strict=True))
    first, second = rows[first], rows[second]
    # a symmetrical face is its own mirror image: the better of both counts
    order = np.lexsort((mirrored_too, -correlation, second, first))
    again = (np.diff(first[order], prepend=-1) == 0) & (np.diff(second[order], prepend=-1) == 0)
    best = order[~again]
    digests = np.asarray(seen.digests, dtype=object)
    exact = digests[first[best]] == digests[second[best]]
    return Pairs(first[best], second[best], bits[best], correlation[best], exact.astype(bool), mirrored_too[best])


def _described(seen: Seen, rows: npt.NDArray[np.int64]) -> tuple[Hashes, Hashes, near_pairs.Features]:
    """Return the hashes of some pictures, of their mirror images, and their features; a part at a time."""
    parts = []
    for start in range(0, max(len(rows), 1), _PAIRS):
        copies = seen.copies(rows[start : start + _PAIRS])
        parts.append((hashes(copies), hashes(copies[:, :, ::-1]), near_pairs.features(copies)))
    plain, turned, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return plain, turned, values


def _candidates(
    plain: Hashes, other: Hashes, values: near_pairs.Features, asked: near_pairs.Features, near: int, same: float
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield rows i < j, each pair once, whose hashes (plain of i, other of j) are near and that may correlate.

    `asked` are the features that go with `other`.
    """
    every = len(plain) <= near_pairs.EVERY
    kept = [np.zeros(0, np.int64)]
    for i, j in near_pairs.all_pairs(plain, other, near) if every else near_pairs.likely_pairs(values, asked):
        first, second = np.minimum(i, j), np.maximum(i, j)
        good = np.flatnonzero((first < second) & (np.bitwise_count(plain[first] ^ other[second]) <= near))
        first, second = first[good], second[good]
        likely = near_pairs.close(values[first], asked[second], same)
        kept.append(first[likely] * len(plain) + second[likely])
    keys = np.unique(np.concatenate(kept))
    for at in range(0, len(keys), near_pairs.EVERY):
        yield np.divmod(keys[at : at + near_pairs.EVERY], len(plain))


def _correlations(
    seen: Seen, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], mirrored: bool
) -> Iterator[npt.NDArray[np.float64]]:
    for at in range(0, len(first), _PAIRS):
        one, other = seen.copies(first[at : at + _PAIRS]), seen.copies(second[at : at + _PAIRS])
        other = np.ascontiguousarray(other[:, :, ::-1]) if mirrored else other
        yield np.einsum("ijk,ijk->i", one, other).astype(np.float64)
