"""timm networks (Wightman, "PyTorch Image Models", 2019) without their classifier, for our picture sizes.

ResNet (He et al., CVPR 2016), ViT (Dosovitskiy et al., ICLR 2021), EfficientNet (Tan and Le, ICML 2019), ConvNeXt (Liu
et al., CVPR 2022), Swin (Liu et al., ICCV 2021) and whatever else timm has.

Stochastic depth (Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016): in training, for each picture on its
own, residual branch l of L is left out with probability p_l and else divided by 1 - p_l (timm's; the paper instead
multiplies by 1 - p_l in evaluation, which is the same in the mean). p_l rises linearly to `drop_path`: as l / (L - 1),
l = 0 .. L - 1, in timm, as l / L in the paper and in timm's EfficientNets.
"""

from difflib import get_close_matches
from typing import Any

import timm
import torch
from timm.layers import DropPath
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
    drop_path: float = 0.0,
) -> nn.Module:
    """Create the timm network with pooled features as its output.

    Args:
        timm_name: any name of `timm.list_models()`.
        model_args: further arguments of that network.
        in_chans: input channels; timm adapts published weights to them.
        size: side of the square input in pixels, passed on as `img_size` to networks of fixed size.
        pretrained: load timm's published weights.
        pool_patches: average the patch tokens of a network that by default reads its class token.
        drop_path: p of the deepest residual branch, timm's `drop_path_rate`. At 0 nothing is passed, so that a
            network without stochastic depth is none the worse.

    Raises:
        ConfigError: the name is unknown, timm refuses the arguments, `drop_path` is above 0 and the network has no
            stochastic depth, or the pictures do not divide into its patches.
    """
    if not timm.is_model(timm_name):
        near = get_close_matches(timm_name, timm.list_models(), n=4, cutoff=0.5)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise ConfigError(f"Expected `backbone` to be a name of timm.list_models(); got {timm_name!r}.{hint}")
    arguments = dict(model_args)
    config = timm.get_pretrained_cfg(timm_name)
    if config is not None and config.fixed_input_size:
        arguments.setdefault("img_size", size)
    if drop_path > 0:
        arguments["drop_path_rate"] = drop_path
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
            "name a local file: `init: imagenet` or `init: face`, and `weights: <file>`."
        ) from error
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        if drop_path > 0 and "drop_path_rate" in str(error):
            raise ConfigError(
                f"Expected `drop_path` to be 0 for {timm_name!r}, which has no stochastic depth; got {drop_path:g}."
            ) from error
        raise ConfigError(f"timm could not build {timm_name!r} with {arguments}: {error}") from error
    _refuse_cut_patches(backbone, timm_name, size)
    return backbone


def takes_one_size(backbone: nn.Module) -> bool:
    """Return whether the network takes pictures of the size it was built for alone, as a vision transformer does."""
    config = getattr(backbone, "pretrained_cfg", None) or {}
    return bool(config.get("fixed_input_size")) and not getattr(backbone, "dynamic_img_size", False)


def drop_rates(backbone: nn.Module) -> list[float]:
    """Return the drop probability of each residual branch that has one above 0, from the input on.

    A transformer's block has two branches. timm also puts the layer into units of an EfficientNet that have no
    shortcut and never call it: those do not count.
    """
    return [
        child.drop_prob
        for module in backbone.modules()
        if getattr(module, "has_skip", True)
        for child in module.children()
        if isinstance(child, DropPath) and child.drop_prob > 0
    ]


def _refuse_cut_patches(backbone: nn.Module, timm_name: str, size: int) -> None:
    """Refuse pictures of which timm would silently leave the last rows and columns out; not so where it did itself."""
    config = getattr(backbone, "pretrained_cfg", None) or {}
    embedding = getattr(backbone, "patch_embed", None)
    patch = None if getattr(embedding, "dynamic_img_pad", False) else getattr(embedding, "patch_size", None)
    if not config.get("fixed_input_size") or patch is None or config["input_size"][1] == size:
        return
    sides = patch if isinstance(patch, tuple) else (patch,)
    if any(size % side for side in sides):
        raise ConfigError(
            f"Expected `profiles.<profile>.size` to be a multiple of {max(sides)}, the patch size of {timm_name!r} "
            f"(another one: `patch_size` in the model's `args`); got {size}."
        )


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
        raise ConfigError(
            f"The network cannot take pictures of {in_chans} x {size} x {size} (`profiles.<profile>.size`): {error}"
        ) from error
    finally:
        backbone.train(training)
