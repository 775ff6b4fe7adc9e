"""`make faults SEED=… MINUTES=…`: one random history of faults after the other, each looked at by the independent checker.

First thousands of histories of the rules next to their model, then faults of the running service for the rest of the time;
what it has published is read by ranking and reporting as well. Each history has a seed of its own; a failure prints the command
that repeats it.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from tests.faults.ailing_copy import STEPS
from tests.faults.copies import Copies, copies_of
from tests.faults.drive import check_world, send_all, wait_decided
from tests.faults.readers import check_readers
from tests.faults.traffic import stream
from tests.integration.redemption.world import new_world
from tests.support.databases import Databases
from tests.support.servers import session_kafka, session_postgres
from tests.support.topics import own_topics

EVENTS: Final = 3_000
RULES: Final = "tests/unit/redemption/test_model.py"
RULE_HISTORIES: Final = 3_000
RULES_FROM_MINUTES: Final = 1.0
"""A repetition of one history leaves the rules out."""

DECIDED_SECONDS: Final = 180.0
FAILING: Final = ("after_write", "after_chunk", "before_chunk", "before_write", "before_facts")


def main() -> int:
    """0 when nothing was found in the time, 1 with what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--minutes", type=float, default=30.0)
    wanted = parser.parse_args()
    deadline = time.monotonic() + wanted.minutes * 60
    print(f"seed {wanted.seed}, {wanted.minutes:g} minutes", flush=True)
    if wanted.minutes >= RULES_FROM_MINUTES and not _rules_hold(wanted.seed):
        return 1
    with session_kafka() as kafka, session_postgres() as postgres:
        seed = wanted.seed
        while time.monotonic() < deadline:
            if not _play(seed, kafka, postgres):
                return 1
            seed += 1
    print(f"{seed - wanted.seed} histories, nothing found")
    return 0


def _rules_hold(seed: int) -> bool:
    """The rules next to their model, over thousands of histories instead of the few of `make test`."""
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", f"--hypothesis-seed={seed}", RULES]
    told = subprocess.run(command, env={**os.environ, "RULE_HISTORIES": str(RULE_HISTORIES)}, check=False)
    print(f"{RULE_HISTORIES:,} histories of the rules ({time.monotonic() - started:.0f} s)", flush=True)
    return told.returncode == 0


def _play(seed: int, kafka: str, postgres: str) -> bool:
    started = time.monotonic()
    try:
        told = asyncio.run(history(seed, kafka, postgres))
    except Exception as error:
        print(f"seed {seed}: {type(error).__name__}: {error}\nrepeat it: make faults SEED={seed} MINUTES=0.01", flush=True)
        return False
    print(f"seed {seed}: {told} ({time.monotonic() - started:.0f} s)", flush=True)
    return True


async def history(seed: int, kafka_server: str, postgres_url: str) -> str:
    """Plays the history of a seed and checks it; what was seen, in a line."""
    choose = random.Random(seed)
    databases = Databases(superuser_url=postgres_url)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="counterfoil-faults-")))
        stack.push_async_callback(databases.drop_all)
        url = await databases.make("redemption")
        kafka = await stack.enter_async_context(own_topics(kafka_server, partitions=choose.choice([1, 2, 4])))
        world = await stack.enter_async_context(new_world(kafka, url))
        limits = {
            "per_player": choose.choice([None, 1, 3]),
            "per_store": choose.choice([None, 150]),
            "total": choose.choice([None, 900]),
        }
        await world.publish_campaign(limits=limits)
        copies = stack.enter_context(copies_of(world.environment, folder))
        sending = asyncio.create_task(
            send_all(world, stream(seed, EVENTS), chunk=choose.choice([20, 100]), pause_seconds=choose.random() * 0.2)
        )
        told = [await _fault(choose, copies) for _ in range(choose.randint(4, 9))]
        await sending
        copies.start_ailing()
        await wait_decided(world, copies, DECIDED_SECONDS)
        checked = await check_world(world, copies)
        await check_readers(world, ranking_url=await databases.make("ranking"), reporting_url=await databases.make("reporting"))
        return f"{', '.join(told)}: {checked.accepted} accepted, {checked.reversed} reversed, {checked.repeated} repeated"


async def _fault(choose: random.Random, copies: Copies) -> str:
    """A copy that falls ill, is killed, or is paused and comes back; others may be running meanwhile."""
    kind = choose.choice(["die", "fail", "kill", "pause", "end"])
    moment = choose.random() * 4
    match kind:
        case "die":
            ailment = f"die:{choose.choice(STEPS)}:{choose.randint(1, 12)}"
            copies.start_ailing(ailment)
            await asyncio.sleep(moment)
            return ailment
        case "fail":
            ailment = f"fail:{choose.choice(FAILING)}:{choose.randint(3, 9)}"
            process = copies.start_ailing(ailment)
            await asyncio.sleep(2 + moment)
            copies.kill(process)
            return ailment
    process = copies.start_ailing()
    await asyncio.sleep(1 + moment)
    if kind == "pause":
        copies.pause(process)
        await asyncio.sleep(choose.random() * 8)
        copies.resume(process)
    elif kind == "kill":
        copies.kill(process)
    else:
        await asyncio.to_thread(copies.end, process, 30.0)
    return kind


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "info")
    sys.exit(main())
