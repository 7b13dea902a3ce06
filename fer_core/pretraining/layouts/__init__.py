"""Layouts of published weights. A new one is one file and one entry here.

A file of none of these layouts is taken for timm's own names, which are also what `save_backbone` writes.
"""

from torch import Tensor, nn

from fer_core.errors import ConfigError
from fer_core.pretraining.layouts.deepface import DEEPFACE
from fer_core.pretraining.layouts.facenet import FACENET
from fer_core.pretraining.layouts.huggingface import HUGGINGFACE
from fer_core.pretraining.layouts.insightface import INSIGHTFACE
from fer_core.pretraining.layouts.layout import Layout
from fer_core.pretraining.layouts.swin import SWIN
from fer_core.pretraining.layouts.vggface2 import VGGFACE2, VGGFACE2_BGR

__all__ = ["LAYOUTS", "Layout", "translate"]

LAYOUTS: dict[str, Layout] = {
    "insightface": INSIGHTFACE,
    "facenet": FACENET,
    "vggface2": VGGFACE2,
    "vggface2_bgr": VGGFACE2_BGR,
    "deepface": DEEPFACE,
    "huggingface": HUGGINGFACE,
    "swin": SWIN,
}


def translate(tensors: dict[str, Tensor], backbone: nn.Module, source: str) -> tuple[dict[str, Tensor], str]:
    """Return tensors under the backbone's names and the layout's name ("timm" where none is recognised).

    Raises:
        ConfigError: the layout is one of another network, whatever number of tensors would fit.
    """
    layout = next((layout for layout in LAYOUTS.values() if layout.recognise(tensors)), None)
    if layout is None:
        return tensors, "timm"
    if not layout.suits(backbone):
        raise ConfigError(
            f"{source} has the layout {layout.name}, which {type(backbone).__name__} does not compute; "
            f"expected `backbone` to be {layout.backbones}."
        )
    return layout.convert(tensors, backbone), layout.name
