"""Backbone weights in and out of files: safetensors, tensor-only PyTorch files, Keras' HDF5; never arbitrary pickles.

Published names are translated by `fer_core.pretraining.layouts`.
"""

from collections import Counter
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed, resample_patch_embed, resize_rel_pos_bias_table
from timm.models import adapt_input_conv
from torch import Tensor, nn

from fer_core.errors import ConfigError
from fer_core.files import BROKEN, replacing
from fer_core.pretraining.layouts import translate
from fer_core.pretraining.layouts.keras import SUFFIXES as KERAS
from fer_core.pretraining.layouts.keras import read_h5

ENOUGH = (
    0.9  # share of the backbone's tensors, and of its numbers, that a file must bring; and of the file's to be used
)
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "backbone")
# how the classifiers of published networks are called; a backbone has none
CLASSIFIERS = ("fc", "classifier", "head", "last_linear", "logits", "F8", "feat_extract", "head.fc")

# constants of a windowed transformer at the size of its own training, which some files hold; timm makes its own
_CONSTANTS = ("attn_mask", "relative_position_index", "relative_coords_table")
_KINDS = ("weight", "bias", "kernel")


@dataclass(frozen=True)
class LoadReport:
    """What a weights file gave.

    Attributes:
        matched: names of the backbone's tensors that were loaded.
        missing: names that the file lacks or has in a shape that does not fit.
        unexpected: names in the file that were not used.
        share: matched / (matched + missing).
        layout: whose names the file has.
    """

    matched: list[str]
    missing: list[str]
    unexpected: list[str]
    share: float
    layout: str = "timm"

    @property
    def classifier(self) -> list[str]:
        """Names of the file's classifier, among the unexpected."""
        ends = tuple(f"{name}{mark}{kind}" for name in CLASSIFIERS for mark in "./" for kind in _KINDS)
        return [name for name in self.unexpected if name.endswith(ends)]

    def __str__(self) -> str:
        """Say in one line what matched and what did not, with the first names."""
        classifier = self.classifier
        others = [name for name in self.unexpected if name not in classifier]
        parts = [f"{len(self.matched)} of {len(self.matched) + len(self.missing)} tensors, layout {self.layout}"]
        for title, names in (
            ("missing", self.missing),
            ("skipped classifier", classifier),
            ("unexpected", others),
        ):
            if names:
                parts.append(f"{title} ({len(names)}) {_first(names)}")
        return "; ".join(parts)


def save_backbone(model: nn.Module, path: Path) -> None:
    """Write the backbone's tensors as safetensors; the file is whole or absent."""
    tensors = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in _backbone(model).state_dict().items()
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def load_backbone(model: nn.Module, path: Path) -> LoadReport:
    """Load a file into the backbone of `model` (its `.backbone`, or itself), or refuse and change nothing.

    The file has timm's names or those of a layout in `fer_core.pretraining.layouts`. Names may carry any prefix
    ("module.", "backbone.", ...) and stand under a wrapper key such as "state_dict". Input channels, patch size and
    position embeddings, relative ones in windows among them, are adapted by timm's own functions.

    Raises:
        ConfigError: no such file, not a tensor-only file, a layout of another network, under 90 % of the backbone's
            tensors or of their numbers matched, its first convolution did not, over 10 % of the file's tensors (a
            classifier aside) have no place in it, as a deeper network's have not, its positions are of no square or of
            other prefix tokens than the backbone's, or a number is not finite.
    """
    backbone = _backbone(model)
    wanted = {
        name: tensor
        for name, tensor in backbone.state_dict().items()
        if not name.endswith("num_batches_tracked")  # a counter, absent from many published files
    }
    found, layout = translate(read_tensors(path), backbone, str(path))
    if not any(name.endswith(_CONSTANTS) for name in wanted):
        found = {name: tensor for name, tensor in found.items() if not name.endswith(_CONSTANTS)}
    prefix = _prefix(found, wanted)
    named = {name.removeprefix(prefix): (name, tensor) for name, tensor in found.items()}
    if "fc_norm.weight" in wanted and "fc_norm.weight" not in named:
        # timm calls a transformer's last norm so when patches are averaged instead of a class token read
        named |= {name.replace("norm.", "fc_norm.", 1): named[name] for name in list(named) if name[:5] == "norm."}
    fitted: dict[str, Tensor] = {}
    used = set()
    for name, tensor in wanted.items():
        if name not in named:
            continue
        source, value = named[name]
        adapted = _fit(name, value, tensor, backbone)
        if adapted is not None:
            fitted[name] = adapted
            used.add(source)
    missing = [name for name in wanted if name not in fitted]
    unexpected = [name for name in found if name not in used and not name.endswith("num_batches_tracked")]
    share = len(fitted) / len(wanted)
    if share < ENOUGH:
        raise ConfigError(
            f"{path} fits only {len(fitted)} of the backbone's {len(wanted)} tensors ({share:.0%}, expected at "
            f"least {ENOUGH:.0%}). Missing or of another shape: {_first(missing)}. "
            f"In the file and not used: {_first(unexpected) or 'nothing'}."
        )
    report = LoadReport(list(fitted), missing, unexpected, share, layout)
    _refuse_another_network(path, report, fitted, wanted, [name for name in found if name.startswith(prefix)])
    backbone.load_state_dict(fitted, strict=False)
    return report


def _refuse_another_network(
    path: Path, report: LoadReport, fitted: dict[str, Tensor], wanted: dict[str, Tensor], own: list[str]
) -> None:
    """Refuse what matches in number but cannot be this network; `own` are the file's names beside those that fit."""
    first = next((name for name, tensor in wanted.items() if tensor.ndim == 4), None)
    if first in report.missing:
        raise ConfigError(f"{path} does not fit the backbone's first convolution, {first}, and so no later one either.")
    numbers = sum(tensor.numel() for tensor in fitted.values()) / sum(tensor.numel() for tensor in wanted.values())
    if numbers < ENOUGH:
        raise ConfigError(
            f"{path} fits only {numbers:.0%} of the backbone's numbers, expected at least {ENOUGH:.0%}. Missing or of "
            f"another shape: {_first(report.missing)}."
        )
    known = set(report.classifier)
    idle = [name for name in report.unexpected if name in set(own) - known]
    if len(idle) > (1 - ENOUGH) * len(own):
        raise ConfigError(
            f"{path} holds {len(idle)} tensors of {len(own)} that the backbone has no place for, as those of a deeper "
            f"network: {_first(idle)}. Expected a `backbone` of the same depth."
        )
    broken = next((name for name, tensor in fitted.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise ConfigError(f"{path} holds numbers in {broken} that are not finite.")


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors, PyTorch or Keras file by name, out of a wrapper key if there is one.

    Raises:
        ConfigError: no such file, or not a tensor-only file.
    """
    if not path.is_file():
        raise ConfigError(f"Weights file {path} does not exist.")
    if path.suffix in KERAS:
        return read_h5(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except BROKEN as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"{path} is not a file of tensors only (safetensors, or a PyTorch state dict), and pickles of anything "
            f"else are not opened: {first}"
        ) from None
    while isinstance(content, dict):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict):
        raise ConfigError(f"Expected {path} to hold named tensors; got {type(content).__name__}.")
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _backbone(model: nn.Module) -> nn.Module:
    inner = getattr(model, "backbone", None)
    return inner if isinstance(inner, nn.Module) else model


def _prefix(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> str:
    """Return the prefix under which most of the wanted names stand in the file, the shortest if several do."""
    votes: Counter[str] = Counter()
    for name in found:
        parts = name.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in wanted:
                votes["".join(f"{part}." for part in parts[:start])] += 1
    return min(votes, key=lambda prefix: (-votes[prefix], len(prefix)), default="")


def _fit(name: str, value: Tensor, like: Tensor, backbone: nn.Module) -> Tensor | None:
    """Return `value` in the shape of `like`, adapted where timm knows how, or None."""
    if value.shape == like.shape:
        return value
    if name.endswith("pos_embed") and value.ndim == like.ndim == 3 and value.shape[2] == like.shape[2]:
        prefix = 0 if getattr(backbone, "no_embed_class", False) else int(getattr(backbone, "num_prefix_tokens", 0))
        places = value.shape[1] - prefix
        if places < 1 or isqrt(places) ** 2 != places:
            raise ConfigError(
                f"Expected {name} to hold a square of places and the backbone's {prefix} prefix tokens; the file has "
                f"{value.shape[1]} in all. Do `class_token` and `reg_tokens` in the model's `args` suit the file?"
            )
        grid = backbone.patch_embed.grid_size  # type: ignore[union-attr]
        value = resample_abs_pos_embed(value, list(grid), num_prefix_tokens=prefix)  # type: ignore[arg-type]
    if name.endswith("relative_position_bias_table") and value.ndim == 2 and value.shape[1:] == like.shape[1:]:
        window: Any = backbone.get_submodule(name.rpartition(".")[0]).window_size
        value = resize_rel_pos_bias_table(value, window, tuple(like.shape))
    if value.ndim == like.ndim == 4 and value.shape[0] == like.shape[0]:
        first = next(key for key, tensor in backbone.state_dict().items() if tensor.ndim == 4)
        if name == first and value.shape[1] != like.shape[1]:
            value = adapt_input_conv(like.shape[1], value, base_chans=value.shape[1])
        if "patch_embed" in name and value.shape[2:] != like.shape[2:]:
            value = resample_patch_embed(value, list(like.shape[2:]))
    return value if value.shape == like.shape else None
