"""The hinge losses of a GAN (Lim & Ye, "Geometric GAN", 2017; Miyato et al., ICLR 2018).

    L_D = E_x max(0, 1 − D(x)) + E_z max(0, 1 + D(G(z)))
    L_G = −E_z D(G(z))

The discriminator is paid only until a real picture scores above 1 and a synthetic one below −1.
"""

from torch import Tensor

from fer_core.losses.common import at_least_float32


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the scalar L_D, at least 0, of scores of real (N,) and synthetic pictures (M,); 2 where it knows nothing.

    Half precision gives float32.

    Example:
        >>> import torch
        >>> discriminator_loss(torch.tensor([0.5, 3.0]), torch.tensor([-2.0])).item()
        0.25
    """
    real, fake = at_least_float32(real), at_least_float32(fake)
    return (1 - real).relu().mean() + (1 + fake).relu().mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Return the scalar L_G of scores of synthetic pictures (M,); half precision gives float32."""
    return -at_least_float32(fake).mean()
