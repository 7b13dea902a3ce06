"""timm networks (Wightman, "PyTorch Image Models", 2019) without their classifier, for our picture sizes."""

from difflib import get_close_matches
from typing import Any

import timm
import torch
from torch import Tensor, nn

from fer_core.errors import ConfigError
from fer_core.models import caffe_resnet, deepface, inception_resnet_v1, iresnet

# importing them made timm know their names; the list is of what they are
FACE_NETWORKS = tuple(
    sorted(name for module in (caffe_resnet, deepface, inception_resnet_v1, iresnet) for name in module.default_cfgs)
)


def create_backbone(
    timm_name: str,
    model_args: dict[str, Any],
    in_chans: int,
    size: int,
    *,
    pretrained: bool = False,
    pool_patches: bool = False,
) -> nn.Module:
    """Create the timm network with pooled features as its output.

    Args:
        timm_name: any name of `timm.list_models()`.
        model_args: further arguments of that network.
        in_chans: input channels; timm adapts published weights to them.
        size: side of the square input in pixels, passed on as `img_size` to networks of fixed size.
        pretrained: load timm's published weights.
        pool_patches: average the patch tokens of a network that by default reads its class token.

    Raises:
        ConfigError: the name is unknown, or timm refuses the arguments.
    """
    if not timm.is_model(timm_name):
        near = get_close_matches(timm_name, timm.list_models(), n=4, cutoff=0.5)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise ConfigError(f"Expected `backbone` to be a name of timm.list_models(); got {timm_name!r}.{hint}")
    arguments = dict(model_args)
    config = timm.get_pretrained_cfg(timm_name)
    if config is not None and config.fixed_input_size:
        arguments.setdefault("img_size", size)
    try:
        backbone = timm.create_model(timm_name, pretrained=pretrained, num_classes=0, in_chans=in_chans, **arguments)
        if pool_patches and getattr(backbone, "global_pool", None) == "token":
            backbone = timm.create_model(
                timm_name,
                pretrained=pretrained,
                num_classes=0,
                in_chans=in_chans,
                **{**arguments, "global_pool": "avg"},
            )
    except OSError as error:
        raise ConfigError(
            f"timm could not fetch the published weights of {timm_name!r} ({type(error).__name__}); without a network, "
            "name a local file: `init: face` and `weights: <file>`."
        ) from error
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise ConfigError(f"timm could not build {timm_name!r} with {arguments}: {error}") from error
    return backbone


def input_statistics(backbone: nn.Module, in_chans: int) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation that the network expects, each (C,), for pictures in 0..1.

    They come from timm's data configuration; for other channel counts than its own the average over channels.
    """
    config = timm.data.resolve_data_config({}, model=backbone)
    mean, std = torch.tensor(config["mean"]), torch.tensor(config["std"])
    if len(mean) != in_chans:
        mean, std = mean.mean().repeat(in_chans), std.mean().repeat(in_chans)
    return mean, std


@torch.no_grad()
def final_map(backbone: nn.Module, in_chans: int, size: int) -> tuple[Tensor, Tensor]:
    """Run one empty picture: the shapes of its final feature map and pooled features, in evaluation mode."""
    training = backbone.training
    backbone.eval()
    try:
        features = backbone.forward_features(torch.zeros(1, in_chans, size, size))  # type: ignore[operator]
        return features, backbone.forward_head(features, pre_logits=True)  # type: ignore[operator]
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(f"The network cannot take pictures of {in_chans} x {size} x {size}: {error}") from error
    finally:
        backbone.train(training)
