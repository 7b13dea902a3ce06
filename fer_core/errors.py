"""What can go wrong, as a small tree; every error names the file, row or key, what was expected and came."""

from collections.abc import Iterable
from difflib import get_close_matches


class FerError(Exception):
    """The root: a stage prints its message as one sentence and exits with status 1."""


class ConfigError(FerError):
    """A key or value in params.yaml, or an argument, is not valid."""


class Contradiction(ConfigError):
    """Choices that are valid one by one exclude each other."""


class DataError(FerError):
    """A file, row or picture is not what the data set's layout promises."""


def unknown_name(what: str, got: object, valid: Iterable[str]) -> ConfigError:
    """Build the error for a name that is not in a registry, with the valid ones and the nearest.

    Example:
        >>> str(unknown_name("loss", "focl", ["ce", "focal"]))
        "Expected `loss` to be one of ce, focal; got 'focl'. Did you mean 'focal'?"
    """
    names = sorted(str(name) for name in valid)
    near = get_close_matches(str(got), names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ConfigError(f"Expected `{what}` to be one of {', '.join(names)}; got {str(got)!r}.{hint}")
