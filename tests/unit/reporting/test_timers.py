"""The timers under deploy/ name jobs that are there, each once, at the hour at which it is due."""

import re
from datetime import timedelta
from pathlib import Path

import yaml

from services.reporting.domain.schedules import SCHEDULES

DEPLOY = Path(__file__).parents[3] / "deploy"


def test_every_scheduled_job_has_a_systemd_timer() -> None:
    timers = {path.name: path.read_text() for path in (DEPLOY / "systemd").glob("*.timer")}
    assert set(timers) == {f"counterfoil-job-{job}.timer" for job in SCHEDULES}
    for job, schedule in SCHEDULES.items():
        found = re.search(r"OnCalendar=.*?(\d\d|\*):(\d\d):00 UTC", timers[f"counterfoil-job-{job}.timer"])
        assert found is not None
        assert (found[1] == "*") is (schedule.every < timedelta(days=1)), "hourly ones every hour"
        assert int(found[2]) == schedule.first.minute + 1, "just after it is due"
        assert f"counterfoil-job@{job}.service" in timers[f"counterfoil-job-{job}.timer"]


def test_every_scheduled_job_has_a_cronjob() -> None:
    jobs = list(yaml.safe_load_all((DEPLOY / "k8s" / "cronjobs" / "reporting.yaml").read_text()))
    assert {job["metadata"]["name"] for job in jobs if job} == {f"reporting-{job}" for job in SCHEDULES}
    for job in filter(None, jobs):
        command = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"][-1]
        assert f"jobs run {job['metadata']['name'].removeprefix('reporting-')} --date" in command
        assert job["spec"]["timeZone"] == "Etc/UTC"
