"""The options of a data set: the keys of `sets.<name>` in params.yaml."""

from collections.abc import Mapping
from typing import Any

from fer_core.errors import ConfigError, unknown_name


def read_options(data: str, options: Mapping[str, Any] | None, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with the defaults of those that are not given.

    Args:
        data: the set's name.
        options: what params.yaml says; null is none.
        known: option -> default.

    Raises:
        ConfigError: an option is not known, or `options` holds no keys.

    Example:
        >>> read_options("ckplus", {"frames": 1}, {"frames": 3, "neutral": True})
        {'frames': 1, 'neutral': True}
    """
    if options is not None and not isinstance(options, Mapping):
        raise ConfigError(f"Expected `sets.{data}` to hold keys; got {options!r}.")
    for key in options or {}:
        if key not in known:
            if not known:
                raise ConfigError(f"Expected `sets.{data}` to be empty, as {data} has no options; got `{key}`.")
            raise unknown_name(f"key of sets.{data}", key, known)
    return {**known, **(options or {})}
