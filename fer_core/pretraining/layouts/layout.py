"""What a layout is: how published weights name and order their tensors, and which networks they were made for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """One way of naming the tensors of a network.

    Attributes:
        name: shown to people.
        recognise: whether named tensors are of this layout.
        suits: whether a backbone computes what these weights were trained in.
        backbones: the names to take as `backbone`, for advice.
        convert: tensors by published name -> tensors by our names, for a backbone that suits.
    """

    name: str
    recognise: Callable[[Tensors], bool]
    suits: Callable[[nn.Module], bool]
    backbones: str
    convert: Callable[[Tensors, nn.Module], dict[str, Tensor]]


def as_they_are(tensors: Tensors, backbone: nn.Module) -> dict[str, Tensor]:
    """Convert nothing: our names are the published ones."""
    return dict(tensors)


def has(tensors: Tensors, *endings: str) -> bool:
    """Return whether for each ending some name is it, or ends in it after a prefix such as "module."."""
    return all(any(name == ending or name.endswith(f".{ending}") for name in tensors) for ending in endings)
