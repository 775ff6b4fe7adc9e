"""The README's examples for game platforms, run as they stand there: Python by Kafka, curl by HTTP, Ruby by XML-RPC."""

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from shared.lifecycle import RunningService
from tests.integration.redemption.world import TOKEN, World, code_of
from tests.support.debian import RUBY, find_program

README = Path(__file__).parents[3] / "services" / "redemption" / "README.md"


def example(language: str) -> str:
    """The README's only block in this language."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return str(text)


async def run(*command: str, text: str, environment: Mapping[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate(text.encode())
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.fixture
def environment(world: World, service: RunningService) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": world.kafka.bootstrap_servers,
        "REDEMPTION_URL": service.url,
        "PLATFORM_TOKEN": TOKEN,
        "CODE": code_of(77),
    }


async def test_by_kafka(world: World, environment: dict[str, str]) -> None:
    """With this test's topics, which share the broker with others'."""
    text = re.sub(r'"((?:game|promo)\.[a-z.]+\d)"', rf'"{world.kafka.topic_prefix}\1"', example("python"))
    assert await run(sys.executable, "-", text=text, environment=environment) == "REDEEMED REDEEMED\n"


async def test_by_http(environment: dict[str, str]) -> None:
    out = await run("sh", "-e", text=example("sh"), environment=environment)
    assert re.findall(r'"outcome":"(\w+)"', out) == ["REDEEMED", "REDEEMED", "REVERSED"]


async def test_by_xml_rpc_with_rubys_own_client(environment: dict[str, str]) -> None:
    ruby = await asyncio.to_thread(find_program, RUBY)
    out = await run(str(ruby.path), "-", text=example("ruby"), environment={**ruby.environment, **environment})
    state, public, outcome, methods = out.splitlines()
    assert (state, public, outcome) == ("issued", "REDEEMED", "REVERSED")
    assert methods == "check redeem reverse system.listMethods system.methodHelp system.methodSignature system.multicall"
