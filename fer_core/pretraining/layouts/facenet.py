"""facenet-pytorch's InceptionResnetV1; our `InceptionResnetV1` carries the published names."""

from fer_core.models.inception_resnet_v1 import InceptionResnetV1
from fer_core.pretraining.layouts.layout import Layout, as_they_are, has

FACENET = Layout(
    "facenet-pytorch InceptionResnetV1",
    recognise=lambda tensors: has(tensors, "conv2d_1a.conv.weight", "last_linear.weight"),
    suits=lambda backbone: isinstance(backbone, InceptionResnetV1),
    backbones="inception_resnet_v1",
    convert=as_they_are,
)
