"""Scenarios from `scenarios/*.yaml` of a contracts directory, checked against the contracts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agentflow.contracts import Registry
from agentflow.contracts.shape import checked
from agentflow.contracts.source import Document, read_file
from agentflow.errors import ContractFilesError, FileProblem, UnknownContractError
from ingestion.generate.check import problems_of
from ingestion.generate.fallback import random_scenario
from ingestion.generate.generator import Generator, Profile
from ingestion.generate.shape import Scenario

FOLDER = "scenarios"


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """A scenario with the contracts of its events.

    Attributes:
        described: Whether it was read from a file; else events are random.
    """

    scenario: Scenario
    registry: Registry
    described: bool

    def generator(self, *, seed: int, start_us: int, profile: Profile | None = None) -> Generator:
        """Return a seeded source of its events."""
        return Generator(
            self.scenario,
            self.registry,
            seed=seed,
            start_us=start_us,
            profile=profile,
            careful=not self.described,
        )


def read_scenario(
    contracts_dir: Path, registry: Registry, *, name: str | None = None
) -> LoadedScenario:
    """Read a scenario kept beside the contracts; without any, events are random but valid.

    Args:
        contracts_dir: Where the contracts are; scenarios are in its `scenarios/`.
        registry: Those contracts, loaded.
        name: Which scenario; None means the first by file name.

    Raises:
        ContractFilesError: Something is wrong; it lists all problems of all scenarios.
        UnknownContractError: No scenario has that name.
    """
    scenarios: dict[str, Scenario] = {}
    problems: list[FileProblem] = []
    for file in sorted((contracts_dir / FOLDER).glob("*.y*ml")):
        document = read_file(f"{FOLDER}/{file.name}", file)
        scenario, found = _checked(document, registry)
        problems += found
        if scenario is not None:
            scenarios[scenario.name] = scenario
    if problems:
        raise ContractFilesError(problems)
    if name is None:
        for scenario in scenarios.values():
            return LoadedScenario(scenario, registry, described=True)
        return LoadedScenario(random_scenario(registry), registry, described=False)
    if name not in scenarios:
        raise UnknownContractError("scenario", name, known=scenarios)
    return LoadedScenario(scenarios[name], registry, described=True)


def _checked(document: Document, registry: Registry) -> tuple[Scenario | None, list[FileProblem]]:
    problems = list(document.problems)
    if document.value is None and problems:
        return None, problems
    scenario, found = checked(document, Scenario, noun="scenario")
    problems += found
    if scenario is not None:
        wrong = dict.fromkeys(problems_of(scenario, document.source, registry))
        problems += sorted(wrong, key=lambda problem: problem.line)
    return scenario, problems
