"""The same picture twice: a perceptual hash finds candidates, the pixels decide.

The hash is the difference hash of a small grey copy (64 bits, each whether a cell is brighter than its right
neighbour; Krawetz, "Kind of Like That", 2013): re-encoding, resizing and another brightness hardly change it. All pairs
are compared: 32,000 pictures are 500 million Hamming distances, some seconds. Faces are alike, so a small distance
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

from fer_core.faces.pixels import decode

SIDE = 32  # px of the copies that decide
NEAR = 10  # bits of 64 up to which two hashes are near
SAME = 0.95  # correlation from which two pictures are the same one; the module says how it was chosen
LEAST_SPREAD = 2.0  # grey values; a picture that varies less is blank, and like every other blank one
_BLOCK = 256  # pictures whose distances to all others are in memory at once: 64 MB for 32,000
_PAIRS = 10_000  # candidates whose pixels are: 2 x 40 MB

Copies = npt.NDArray[np.float32]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Seen:
    """What is kept of N pictures.

    `ids` (N,), `digests` (N,) of the decoded pixels, `copies` (N, 32, 32) grey of mean 0 and norm 1, `usable` (N,):
    False for a picture that could not be decoded or is blank.
    """

    ids: list[str]
    digests: list[str]
    copies: Copies
    usable: npt.NDArray[np.bool_]


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
    stacks = [np.zeros((0, SIDE, SIDE), np.float32)]
    for batch in batches:
        copies = []
        for name, data in batch:
            picture = decode(data, grey=True) if data else None
            ids.append(name)
            if picture is None:
                digests.append("")
                usable.append(False)
                copies.append(np.zeros((SIDE, SIDE), np.float32))
                continue
            pixels = picture[..., 0]
            digests.append(hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=12).hexdigest())
            small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
            usable.append(float(small.std()) >= LEAST_SPREAD)
            small -= small.mean()
            copies.append(small / max(float(np.linalg.norm(small)), 1e-6))
        if copies:
            stacks.append(np.stack(copies))
    return Seen(ids, digests, np.concatenate(stacks), np.asarray(usable, bool))


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
    plain = hashes(seen.copies)[rows]
    parts = []
    for mirrored in (False, True):
        other = seen.copies[:, :, ::-1] if mirrored else seen.copies
        for first, second, bits in _candidates(plain, hashes(other)[rows], near):
            correlation = np.einsum("ijk,ijk->i", seen.copies[rows[first]], other[rows[second]]).astype(np.float64)
            kept = correlation >= same
            parts.append((first[kept], second[kept], bits[kept], correlation[kept], np.full(int(kept.sum()), mirrored)))
    if not parts:
        empty = np.zeros(0, np.int64)
        return Pairs(empty, empty, empty, np.zeros(0), np.zeros(0, bool), np.zeros(0, bool))
    first, second, bits, correlation, mirrored_too = (np.concatenate(column) for column in zip(*parts, strict=True))
    first, second = rows[first], rows[second]
    # a symmetrical face is its own mirror image: the better of both counts
    order = np.lexsort((mirrored_too, -correlation, second, first))
    keys = np.stack([first[order], second[order]], axis=1)
    best = order[np.sort(np.unique(keys, axis=0, return_index=True)[1])] if len(order) else order
    digests = np.asarray(seen.digests, dtype=object)
    exact = digests[first[best]] == digests[second[best]]
    return Pairs(first[best], second[best], bits[best], correlation[best], exact.astype(bool), mirrored_too[best])


def _candidates(
    left: Hashes, right: Hashes, near: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield rows i < j, and the distance, of all pairs whose hashes (left of i, right of j) differ by few bits."""
    for start in range(0, len(left), _BLOCK):
        block = left[start : start + _BLOCK]
        distance = np.bitwise_count(block[:, None] ^ right[None, start:])
        i, j = np.nonzero(distance <= near)
        later = j > i
        i, j = i[later], j[later]
        for at in range(0, len(i), _PAIRS):
            part = slice(at, at + _PAIRS)
            yield i[part] + start, j[part] + start, distance[i[part], j[part]].astype(np.int64)
