"""A whole running system for this folder's tests, and `counterfoil` as a process of its own on it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.databases import Databases
from tests.support.system import TestSystem, system_of_its_own


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """`counterfoil` in a folder, with the environment of a system."""

    environment: Mapping[str, str]
    folder: Path

    async def __call__(self, *arguments: str | Path, **more: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "counterfoil",
            *map(str, arguments),
            env={**os.environ, **self.environment, **more},
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 90)
        return Ended(status=process.returncode or 0, out=out.decode(), err=err.decode())

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
def cli(system: TestSystem) -> CommandLine:
    return CommandLine(environment=system.environment, folder=system.folder)
