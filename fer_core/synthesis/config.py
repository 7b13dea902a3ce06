"""What the GAN is asked: sizes, rates, how far each class is raised."""

from dataclasses import dataclass, field

from fer_core.errors import ConfigError, unknown_name

POLICIES = ("color", "translation", "cutout")  # of DiffAugment; names only, so that a check imports no torch


@dataclass(frozen=True)
class GanConfig:
    """The GAN's settings, checked when they are made.

    Attributes:
        steps: of each network, one of the discriminator before one of the generator. None: what the profile says.
        every: steps between checkpoints, which are also the history's rows.
        batch_size: real pictures a step, and as many synthetic ones; at least 2, for batch norm.
        lr_generator: learning rate of Adam(0, 0.9), above 0.
        lr_discriminator: the same; two time scales (Heusel et al., NeurIPS 2017), 4 times the generator's as in
            Zhang et al., "Self-Attention Generative Adversarial Networks", ICML 2019.
        width: channels at 32 px; `networks.channels_at` says how many there are elsewhere. At least 4.
        noise: length of the generator's random input.
        ema: largest decay of the average of the generator that is sampled, in [0, 1).
        diffaugment: which of `POLICIES` every picture goes through before it is judged; empty for none.
        per_class: classes with fewer train pictures than this are raised to it.

    Raises:
        ConfigError: names the key, what was expected and what came.
    """

    steps: int | None = None
    every: int = 100
    batch_size: int = 32
    lr_generator: float = 0.0002
    lr_discriminator: float = 0.0008
    width: int = 32
    noise: int = 64
    ema: float = 0.999
    diffaugment: list[str] = field(default_factory=lambda: list(POLICIES))
    per_class: int = 100

    def __post_init__(self) -> None:
        least = {"steps": 1, "every": 1, "batch_size": 2, "width": 4, "noise": 1, "per_class": 1}
        for key, low in least.items():
            value = getattr(self, key)
            if key == "steps" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ConfigError(f"Expected `gan.{key}` to be a whole number from {low} on; got {value!r}.")
        for key in ("lr_generator", "lr_discriminator"):
            if not 0 < getattr(self, key) < float("inf"):
                raise ConfigError(f"Expected `gan.{key}` to be above 0 and finite; got {getattr(self, key)!r}.")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"Expected `gan.ema` to be at least 0 and below 1; got {self.ema!r}.")
        for name in self.diffaugment:
            if name not in POLICIES:
                raise unknown_name("gan.diffaugment", name, POLICIES)


def sides_of(size: int) -> list[int]:
    """Return the sides of the maps from the smallest, 4 to 7 px, to `size`, each twice the one before.

    Raises:
        ConfigError: `size` is below 8, or not 4, 5, 6 or 7 times a power of two.

    Example:
        >>> sides_of(48)
        [6, 12, 24, 48]
    """
    sides = [size]
    while sides[0] >= 8 and sides[0] % 2 == 0:
        sides.insert(0, sides[0] // 2)
    if not 4 <= sides[0] <= 7 or len(sides) < 2:
        raise ConfigError(f"Expected pictures for the GAN to have a side of 4 to 7 times 2, 4, 8 ... px; got {size}.")
    return sides
