"""A seeded stream of believable events, for demonstrations, tests and benches."""

from ingestion.generate.bad import FLAWS
from ingestion.generate.generator import CLEAN, Generated, Generator, Profile
from ingestion.generate.load import World, read_world
from ingestion.generate.pacing import paced
from ingestion.generate.shape import Scenario

__all__ = [
    "CLEAN",
    "FLAWS",
    "Generated",
    "Generator",
    "Profile",
    "Scenario",
    "World",
    "paced",
    "read_world",
]
