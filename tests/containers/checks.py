"""docker-compose.yml, really run: `make test-containers` (as root on Debian where no Docker engine answers).

The checks go on from each other's state, in their order, on one system: it takes a minute to come up.
"""

import csv
import io
import json
import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import pytest

from deploy.local import ports
from deploy.local.databases import SERVICES
from deploy.local.places import CHECKOUT, default_cache
from tests.containers.composed import ComposedSystem, addresses, call
from tests.containers.engine import run, running_engine
from tests.containers.stand_ins import make_stand_ins
from tests.support.polling import poll_until

pytestmark = pytest.mark.timeout(3_600)
ONE_SHOTS: Final = ("secrets", "topics", "schemas", "migrations")
ACCOUNT: Final = "10001:10001"
NOTHING_GRANTED: Final = "0" * 16
STORE: Final = "s-1"
CAMPAIGN: Final = {
    "id": "checks",
    "name": "Checks",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2036-01-01T00:00:00Z",
    "time_zone": "Europe/Athens",
}


@pytest.fixture(scope="module")
def system() -> Iterator[ComposedSystem]:
    cache = default_cache() / "containers"
    cache.mkdir(parents=True, exist_ok=True)
    with running_engine(cache) as engine:
        if engine.ours:
            make_stand_ins(engine, cache)
        version = run(["git", "describe", "--tags", "--always", "--dirty"], folder=CHECKOUT).strip()
        chosen = ports.free_port(39092)
        system = ComposedSystem(
            engine=engine, version=version, kafka_port=chosen, prometheus_port=ports.free_port(39090, but_not={chosen})
        )
        everything = ("--profile", "watching", "--profile", "tools", "down", "--volumes", "--remove-orphans")
        system.compose(*everything)
        try:
            system.compose("build", "--quiet", "codegen")
            system.compose("up", "--detach", "--wait", "--no-build")
            yield system
        finally:
            print(system.compose("logs", "--no-color", "--tail=15"))
            system.compose(*everything)


def test_every_part_is_healthy_or_has_ended_well(system: ComposedSystem) -> None:
    for service in ("kafka", "postgres", *SERVICES):
        assert [c["State"]["Health"]["Status"] for c in system.containers(service)] == ["healthy"], service
    for service in ONE_SHOTS:
        assert [(c["State"]["Status"], c["State"]["ExitCode"]) for c in system.containers(service)] == [("exited", 0)], service


def test_a_part_started_after_what_it_depends_on_was_there(system: ComposedSystem) -> None:
    ended = {name: _time(system.containers(name)[0]["State"]["FinishedAt"]) for name in ONE_SHOTS}
    started = {name: _time(system.containers(name)[0]["State"]["StartedAt"]) for name in SERVICES}
    assert ended["secrets"] < ended["schemas"] < ended["migrations"]
    assert max(ended.values()) < min(started.values())


def test_the_image_says_its_version_from_git_and_has_no_build_tools(system: ComposedSystem) -> None:
    image = json.loads(system.engine.docker("image", "inspect", f"counterfoil:{system.version}"))[0]
    assert image["Config"]["Labels"]["org.opencontainers.image.version"] == system.version
    assert image["Config"]["User"] == ACCOUNT
    found = system.python("codegen", "import shutil; print([n for n in ('gcc', 'make', 'git', 'uv') if shutil.which(n)])")
    assert found.strip() == "[]"
    assert "pip" not in system.python("codegen", "import os; print(os.listdir('/opt/counterfoil/bin'))")


def test_the_command_line_knows_what_the_image_is_made_of(system: ComposedSystem) -> None:
    assert "aiokafka" in system.counterfoil("sbom", "--licences")
    assert "fine" in system.counterfoil("config", "check", "redemption")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_runs_without_rights_on_a_file_system_that_it_cannot_write(system: ComposedSystem, service: str) -> None:
    status = system.python(service, "print(open('/proc/1/status').read())")
    assert _field(status, "Uid") == "10001"
    assert _field(status, "CapEff") == _field(status, "CapPrm") == NOTHING_GRANTED
    assert _field(status, "NoNewPrivs") == "1"
    written = system.python(service, f"{_TRY_TO_WRITE}\nprint(write('/app/x'), write('/secrets/x'), write('/tmp/x'))")
    assert written.split() == ["EROFS", "EROFS", "written"]


@pytest.mark.parametrize("service", SERVICES)
def test_secrets_come_from_files_and_each_service_has_its_own_alone(system: ComposedSystem, service: str) -> None:
    told = system.containers(service)[0]["Config"]["Env"]
    assert not [line for line in told if "postgresql://" in line or "PASSWORD" in line.upper()]
    files = system.python(service, "import pathlib; print(*[p for p in pathlib.Path('/secrets').rglob('*') if p.is_file()])")
    keys = ["/secrets/keys/code-keys.json"] if service in ("codegen", "redemption") else []
    assert sorted(files.split()) == sorted([f"/secrets/{service}/database_url", *keys])


async def test_a_campaign_runs_through_all_of_it(system: ComposedSystem) -> None:
    system.tokens["ADMIN_TOKEN"] = system.counterfoil("token", "bootstrap").split()[-1]
    for name, scope in (("PLATFORM_TOKEN", "platform:zork"), ("REPORTS_TOKEN", "reports")):
        made = system.call("codegen", "POST", "/v1/tokens", {"name": name, "scopes": [scope], "expires_at": None})
        system.tokens[name] = made["token"]
    system.call("codegen", "PUT", "/v1/stores", [{"id": STORE, "name": "Main Street"}])
    system.call("codegen", "POST", "/v1/campaigns", CAMPAIGN)
    codes = _codes(system)
    for number in range(5):
        outcome = await _redeem_in_the_end(system, system.urls("redemption")[0], next(codes), f"first-{number}")
        assert (outcome["outcome"], outcome["store_id"]) == ("REDEEMED", STORE)

    def agreed() -> bool:
        board = system.call("ranking", "GET", f"/v1/campaigns/{CAMPAIGN['id']}/leaderboard?window=all", token="REPORTS_TOKEN")
        return [row["score"] for row in board["rows"]] == [5] and _summary(system)["accepted"] == 5

    await poll_until(agreed, 60, every_seconds=0.5, what="ranking and reporting agreeing")


async def test_a_service_is_scaled_and_each_copy_answers(system: ComposedSystem) -> None:
    before = {c["Id"] for service in SERVICES for c in system.containers(service)}
    system.compose("up", "--detach", "--wait", "--no-build", "--no-recreate", "--scale", "redemption=3")
    copies = system.containers("redemption")
    assert [c["State"]["Health"]["Status"] for c in copies] == ["healthy"] * 3
    assert before <= {c["Id"] for service in SERVICES for c in system.containers(service)}
    urls = system.urls("redemption")
    assert len(set(urls)) == 3
    codes = _codes(system)
    for number, url in enumerate(urls):
        outcome = await _redeem_in_the_end(system, url, next(codes), f"scaled-{number}")
        assert outcome["outcome"] == "REDEEMED"


async def test_a_copy_that_is_killed_comes_back_and_meanwhile_the_others_decide(system: ComposedSystem) -> None:
    victim, *others = system.containers("redemption")
    codes = _codes(system, skip=10)
    os.kill(victim["State"]["Pid"], signal.SIGKILL)
    urls = [url for copy in others for url in addresses(copy)]
    assert len(urls) == 2
    for number in range(12):
        outcome = await _redeem_in_the_end(system, urls[number % len(urls)], next(codes), f"after-{number}")
        assert outcome["outcome"] == "REDEEMED"

    def restarted() -> bool:
        state = next(c for c in system.containers("redemption") if c["Id"] == victim["Id"])
        return bool(state["RestartCount"] == 1 and state["State"]["Health"]["Status"] == "healthy")

    await poll_until(restarted, 60, every_seconds=1, what="the killed copy being back")


async def test_the_drill_of_the_runbook_from_a_container(system: ComposedSystem) -> None:
    system.counterfoil("backup", "redemption", "/backups/ledger.dump")
    codes = _codes(system)
    lost = next(codes)
    outcome = await _redeem_in_the_end(system, system.urls("redemption")[0], lost, "after-the-backup")
    assert outcome["outcome"] == "REDEEMED"
    system.compose("stop", "redemption")
    system.counterfoil("restore", "redemption", "/backups/ledger.dump", "--replace")
    system.compose("up", "--detach", "--no-build", "--no-deps", "redemption")

    assert "has lost a commit" in system.counterfoil("positions", "show", "--json")
    system.counterfoil("positions", "recover")
    system.compose("up", "--detach", "--wait", "--no-build", "--no-deps", "redemption")
    again = await _redeem_in_the_end(system, system.urls("redemption")[0], lost, "once-more")
    assert again["outcome"] == "ALREADY_REDEEMED"


def test_an_upgrade_as_the_runbook_says_it(system: ComposedSystem) -> None:
    migrated = system.compose("run", "--rm", "--no-TTY", "migrations")
    assert migrated.count("nothing to do") == len(SERVICES)
    system.compose("up", "--detach", "--wait", "--no-build", "--no-deps", "redemption")
    places = json.loads(system.counterfoil("positions", "show", "--json"))
    assert [place["problem"] for place in places if place["problem"]] == []
    assert "reporting.identity" in system.counterfoil("jobs", "list")


def test_what_was_decided_is_there_after_down_and_up(system: ComposedSystem) -> None:
    before = _summary(system)
    system.compose("down")
    assert system.containers() == []
    system.compose("up", "--detach", "--wait", "--no-build")
    after = _summary(system)
    names = ("issued", "accepted", "redeemed", "reversed")
    assert {name: after[name] for name in names} == {name: before[name] for name in names}


async def test_prometheus_of_the_watching_profile_scrapes_every_service(system: ComposedSystem) -> None:
    configured = system.compose("--profile", "watching", "config", "--services").split()
    assert {"prometheus", "grafana"} <= set(configured)
    system.compose("--profile", "watching", "up", "--detach", "--wait", "--no-build", "prometheus")
    url = f"http://127.0.0.1:{system.prometheus_port}/api/v1/query?query=up"

    def scraped() -> bool:
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.status == HTTPStatus.OK
            series = json.loads(answer.read())["data"]["result"]
        up = {text for one in series if one["value"][1] == "1" for text in one["metric"].values()}
        return set(SERVICES) <= up

    await poll_until(scraped, 90, every_seconds=2, what="every service being scraped")


def test_the_files_that_the_watching_profile_mounts_are_there() -> None:
    for path in ("prometheus/prometheus.yml", "grafana/provisioning", "grafana/dashboards"):
        assert (CHECKOUT / "deploy" / path).exists(), path


_TRY_TO_WRITE = """
import errno
def write(path):
    try:
        open(path, 'w').close()
        return 'written'
    except OSError as error:
        return errno.errorcode[error.errno]
"""


def _codes(system: ComposedSystem, *, skip: int = 0) -> Iterator[str]:
    """Codes of a small batch of their own that nobody redeemed."""
    order = {"campaign_id": CAMPAIGN["id"], "allotments": [{"store_id": STORE, "count": 30}], "publish": True}
    batch = system.call("codegen", "POST", "/v1/batches", order, Idempotency_Key=f"checks-{datetime.now(UTC).timestamp()}")
    text = _published_codes(system, batch["id"])
    rows: Sequence[dict[str, str]] = list(csv.DictReader(io.StringIO(text, newline="")))
    return iter([row["code"] for row in rows][skip:])


def _published_codes(system: ComposedSystem, batch_id: str) -> str:
    system.counterfoil("batch", "watch", batch_id, environment={"ADMIN_TOKEN": system.tokens["ADMIN_TOKEN"]})
    text: str = system.call("codegen", "GET", f"/v1/batches/{batch_id}/codes.csv?header=plain")
    return text


def _summary(system: ComposedSystem) -> Any:
    return system.call("reporting", "GET", f"/v1/campaigns/{CAMPAIGN['id']}/summary", token="REPORTS_TOKEN")


def _redeem(system: ComposedSystem, url: str, code: str, event_id: str) -> Any:
    body = {"event_id": event_id, "platform": "zork", "code": code, "player_id": event_id, "region": "US-CA"}
    body["occurred_at"] = datetime.now(UTC).isoformat()
    return call(url, "POST", "/v1/redemptions", body, token=system.tokens["PLATFORM_TOKEN"])


async def _redeem_in_the_end(system: ComposedSystem, url: str, code: str, event_id: str) -> Any:
    """A partition whose copy was killed waits for the group to notice: 504, and sending again is safe."""

    def answered() -> Any:
        try:
            return _redeem(system, url, code, event_id)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.GATEWAY_TIMEOUT:
                raise
            return None

    return await poll_until(answered, 60, what=f"an answer for {event_id}")


def _field(status: str, name: str) -> str:
    return re.search(rf"^{name}:\s+(\w+)", status, re.MULTILINE)[1]  # type: ignore[index]


def _time(text: str) -> datetime:
    """Docker writes nanoseconds, or none."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6].ljust(6, '0')}+00:00")
