"""A whole running system for this folder's tests, and `counterfoil` as a process of its own on it."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.databases import Databases
from tests.support.forked import Ended, Forking, forking
from tests.support.system import TestSystem, system_of_its_own


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """`counterfoil` in a folder, with the environment of a system."""

    forking: Forking
    environment: Mapping[str, str]
    folder: Path

    async def __call__(self, *arguments: str | Path, **more: str) -> Ended:
        environment = {**os.environ, **self.environment, **more}
        return await self.forking.counterfoil(*map(str, arguments), environment=environment, folder=self.folder)

    async def done(self, *arguments: str | Path, **more: str) -> Ended:
        """Fails when the command did."""
        ended = await self(*arguments, **more)
        assert ended.status == 0, ended
        return ended

    async def json(self, *arguments: str | Path, **more: str) -> Any:
        return (await self.done(*arguments, "--json", **more)).json

    async def refused(self, *arguments: str | Path, **more: str) -> str:
        """The one line in which a command says why it did nothing."""
        ended = await self(*arguments, **more)
        assert ended.status != 0, ended
        assert ended.err.count("\n") == 1, ended.err
        assert not ended.out
        return ended.err


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(
    kafka_server: str, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TestSystem]:
    """One system for all tests of the folder: each makes campaigns and stores of its own."""
    async with system_of_its_own(kafka_server, databases, tmp_path_factory.mktemp("system") / "one") as system:
        yield system


@pytest.fixture(scope="session")
def forked() -> Iterator[Forking]:
    with forking() as started:
        yield started


@pytest.fixture(scope="session")
def cli(system: TestSystem, forked: Forking) -> CommandLine:
    return CommandLine(forking=forked, environment=system.environment, folder=system.folder)
