"""A seeded stream of believable events, for demonstrations, tests and benches."""

from ingestion.generate.bad import FLAWS
from ingestion.generate.generator import CLEAN, Generated, Generator, Profile
from ingestion.generate.load import LoadedScenario, read_scenario
from ingestion.generate.pacing import paced
from ingestion.generate.shape import Scenario

__all__ = [
    "CLEAN",
    "FLAWS",
    "Generated",
    "Generator",
    "LoadedScenario",
    "Profile",
    "Scenario",
    "paced",
    "read_scenario",
]
