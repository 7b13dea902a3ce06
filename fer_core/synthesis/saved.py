"""A trained generator in a file: safetensors with the sizes of the network beside its tensors."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fer_core.errors import DataError
from fer_core.files import BROKEN, replacing
from fer_core.synthesis.networks import Generator
from fer_core.synthesis.train import Synthesiser
from fer_core.training.device import pick_device


def save_synthesiser(path: Path, synthesiser: Synthesiser) -> None:
    """Write the generator, what it was trained on and its sizes; the file is whole or absent."""
    generator = synthesiser.generator
    sizes = {key: getattr(generator, key) for key in ("classes", "size", "channels", "width", "noise")}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    with replacing(path) as temporary:
        save_file(
            tensors | {"trained": synthesiser.trained.cpu()}, temporary, metadata={"generator": json.dumps(sizes)}
        )


def load_synthesiser(path: Path) -> Synthesiser:
    """Read what `save_synthesiser` wrote, on the machine's device, without the history.

    Raises:
        DataError: the file does not exist or holds no generator.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; run the synthesise stage first.")
    try:
        with safe_open(path, framework="pt") as file:
            sizes = (file.metadata() or {}).get("generator")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    except BROKEN as error:
        raise DataError(f"{path} is no whole file of tensors: {error}.") from None
    if sizes is None or "trained" not in tensors:
        raise DataError(f"Expected {path} to hold a generator of this pipeline; it does not.")
    trained = tensors.pop("trained")
    found = json.loads(sizes)
    generator = Generator(found.pop("classes"), found.pop("size"), found.pop("channels"), **found)
    generator.load_state_dict(tensors)
    generator.to(pick_device()).to(memory_format=torch.channels_last)
    return Synthesiser(generator.eval(), [], trained)
