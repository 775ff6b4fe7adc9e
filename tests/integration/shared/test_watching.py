"""Readiness notices a Postgres that does not answer, also where nothing else asks it."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.postgres.connections import open_pool
from shared.postgres.watching import DatabaseWatch
from tests.faults.proxy import wire_to
from tests.support.polling import poll_until


async def test_a_database_that_does_not_answer_is_a_problem_until_it_does(database: Callable[[str], Awaitable[str]]) -> None:
    url = await database("redemption")
    async with wire_to(url) as (wire, through), open_pool(through, schema="redemption") as pool:
        watch = DatabaseWatch(lambda: pool.execute("SELECT 1"), meanwhile="boards go on")
        running = asyncio.create_task(watch.run())
        try:
            await asyncio.sleep(0.2)
            assert watch.problem() is None
            wire.mute()
            problem = await poll_until(watch.problem, what="the problem")
            assert problem == "Postgres does not answer (no answer in time); boards go on"
            wire.unmute()
            wire.cut()
            await poll_until(lambda: watch.problem() is None, what="its end")
        finally:
            running.cancel()
