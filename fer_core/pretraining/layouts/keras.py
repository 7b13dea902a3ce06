"""Tensors out of Keras' HDF5 files: data sets only, no model configuration, no code, nothing outside the file."""

from pathlib import Path

import torch
from torch import Tensor

from fer_core.errors import ConfigError

SUFFIXES = (".h5", ".hdf5")


def read_h5(path: Path) -> dict[str, Tensor]:
    """Read every array of numbers as `layer/name` ("C1/kernel"), an optimiser's aside.

    Raises:
        ConfigError: h5py is not installed, or the file is not HDF5, or an array of it lies in another file.
    """
    try:
        import h5py  # noqa: PLC0415  (an extra of its own, only for these files)
    except ImportError:
        raise ConfigError(f'Reading {path} needs h5py: pip install "fer-road[deepface]".') from None
    found: dict[str, Tensor] = {}

    def visit(name: str, item: object) -> None:
        parts = name.split("/")
        if not isinstance(item, h5py.Dataset) or len(parts) < 2 or parts[0] == "optimizer_weights":
            return
        if item.external or item.is_virtual:
            raise ConfigError(f"{path} keeps {name} in another file, which is not read.")
        if item.dtype.kind == "f":
            found["/".join(parts[-2:]).partition(":")[0]] = torch.from_numpy(item[()].astype("float32"))

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except OSError as error:
        raise ConfigError(f"{path} is not an HDF5 file: {str(error).splitlines()[0]}") from None
    return found
