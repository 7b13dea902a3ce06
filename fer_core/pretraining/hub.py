"""Weights by their name on the Hugging Face hub: downloaded once into its cache, used as a file from there.

    hf_hub:<organisation>/<name>, hf-hub:<...>, timm/<name>, each with an optional @<revision>

timm's names (Wightman, "PyTorch Image Models", 2019). What identifies the weights is the file's content; pin a revision
to be sure of the same tomorrow.
"""

import re
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from fer_core.errors import ConfigError

FILES = ("model.safetensors", "pytorch_model.bin")  # in the order in which timm looks for them
_ID = re.compile(r"(?:hf[_-]hub:(?P<any>[\w.-]+/[\w.-]+)|(?P<timm>timm/[\w.-]+))(?:@(?P<revision>[\w./-]+))?")
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".h5", ".hdf5", ".ckpt", ".tar")


def is_hub_id(weights: str) -> bool:
    """Return whether `weights` names weights on the hub rather than a file.

    Example:
        >>> [is_hub_id(name) for name in ("hf_hub:org/face", "timm/resnet50.a1_in1k@main", "timm/mine.pth")]
        [True, True, False]
    """
    if weights.startswith(("hf_hub:", "hf-hub:")):
        return True
    return _ID.fullmatch(weights) is not None and not weights.endswith(_SUFFIXES) and not Path(weights).exists()


def fetch(weights: str) -> Path:
    """Return the file of a hub id in the local cache, downloaded if it is not there.

    Raises:
        ConfigError: not `organisation/name`, nothing of that name, no weights there, or no network.
    """
    parts = _ID.fullmatch(weights)
    if parts is None:
        raise ConfigError(
            f"Expected `weights` to be hf_hub:<organisation>/<name> or hf_hub:<organisation>/<name>@<revision>; got "
            f"{weights!r}."
        )
    missing: EntryNotFoundError | None = None
    for name in FILES:
        try:
            return Path(hf_hub_download(parts["any"] or parts["timm"], name, revision=parts["revision"]))
        except EntryNotFoundError as error:
            missing = error
        except Exception as error:  # the client's own network errors are of no common kind
            raise _failed(weights, error) from error
    if isinstance(missing, LocalEntryNotFoundError):
        raise _failed(weights, missing) from missing
    raise ConfigError(f"`weights: {weights}` holds neither {' nor '.join(FILES)}.") from missing


def _failed(weights: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"Could not fetch `weights: {weights}` from the hub ({type(error).__name__}); without a network, name a local "
        "file."
    )
