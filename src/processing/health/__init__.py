"""What a platform knows of its own state: how its parts are doing, how numbers may be read."""

from processing.health.components import ComponentHealth, components, worst
from processing.health.state import Health

__all__ = ["ComponentHealth", "Health", "components", "worst"]
