"""Settings -> the complete ramp of a lane. Pure: who asks often keeps the answer as long as the settings."""

from config.model import Settings
from config.ramp_table import resolve_table
from config.ramps import Ramp


def resolve_ramp(settings: Settings, ramp_name: str, provider: str) -> Ramp:
    """The named ramp as it is for this provider. KeyError where there is no such ramp: loaded settings name none."""
    return resolve_table(settings.ramps[ramp_name], provider).ramp
