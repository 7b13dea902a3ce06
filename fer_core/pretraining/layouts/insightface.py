"""InsightFace's arcface_torch: iresnet18, 34, 50, 100; our `IResNet` carries the published names.

Most of their tensors (93 % from iresnet34 to resnet34) have the name and shape of a ResNet's, which computes something
else.
"""

from fer_core.models.iresnet import IResNet
from fer_core.pretraining.layouts.layout import Layout, as_they_are, has

INSIGHTFACE = Layout(
    "insightface iresnet",
    recognise=lambda tensors: has(tensors, "layer1.0.prelu.weight", "layer1.0.bn3.weight"),
    suits=lambda backbone: isinstance(backbone, IResNet),
    backbones="iresnet18, iresnet34, iresnet50 or iresnet100",
    convert=as_they_are,
)
