"""The `align` section of params.yaml with the profile's size: for the stages align and contact_sheet."""

from typing import TYPE_CHECKING

from stages.lib.common import read_params

if TYPE_CHECKING:
    from fer_core.faces.config import AlignConfig


def align_config() -> "AlignConfig":
    """Read it; raises ConfigError where a key is not known or a value not valid."""
    from fer_core.errors import unknown_name
    from fer_core.faces.config import read_config

    params = read_params()
    profile, profiles = params.get("profile"), params.get("profiles") or {}
    if profile not in profiles:
        raise unknown_name("profile", profile, profiles)
    return read_config(params.get("align"), profiles[profile].get("size"))
