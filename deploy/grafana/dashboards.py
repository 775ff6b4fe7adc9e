"""Writes dashboards/*.json from the panels below: `python -m deploy.grafana.dashboards`; a test tells when they are stale."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "dashboards"
SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
COLUMNS: Final = 24
PANEL_WIDTH: Final = 8
PANEL_HEIGHT: Final = 8
_OPTIONS: Final[dict[str, Any]] = {
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A picture of some queries: (PromQL, legend) each. `alert_above` draws the line at which an alert fires."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    alert_above: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A page of panels, three in a row."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


def _quantile(metric: str, *, by: str = "", where: str = "", q: float = 0.99) -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{where}[1m])))"


def _distribution(metric: str, where: str = "") -> tuple[tuple[str, str], ...]:
    return tuple((_quantile(metric, where=where, q=q), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99))


CHAIN: Final = Dashboard(
    uid="counterfoil-chain",
    title="Counterfoil: the whole chain",
    panels=(
        Panel(title="Ready copies", unit="short", kind="stat", queries=(("sum by (job) (counterfoil_ready)", "{{job}}"),)),
        Panel(
            title="Alerts", unit="short", kind="stat", queries=(('sum(ALERTS{alertstate="firing"}) or vector(0)', "firing"),)
        ),
        Panel(
            title="Figures that do not agree",
            unit="short",
            kind="stat",
            queries=(("max(counterfoil_reporting_identity_differences)", "codes"),),
            alert_above=0,
        ),
        Panel(title="Outcomes a second", unit="ops", queries=(("counterfoil:outcomes:rate1m", "{{outcome}}"),)),
        Panel(
            title="Age of the oldest undecided request",
            unit="s",
            queries=(("counterfoil:undecided_oldest_seconds", "oldest"),),
            alert_above=30,
        ),
        Panel(
            title="Records behind",
            unit="short",
            queries=(("sum by (group) (counterfoil_consumer_lag_records)", "{{group}}"),),
        ),
        Panel(
            title="Age of boards and figures",
            unit="s",
            queries=(
                ("max(counterfoil_ranking_board_age_seconds)", "boards"),
                ("max(counterfoil_reporting_age_seconds)", "figures"),
            ),
            alert_above=30,
        ),
        Panel(title="Codes loaded a second", unit="ops", queries=(("counterfoil:codes_loaded:rate1m", "codes"),)),
        Panel(
            title="Share of answers that are errors of ours",
            unit="percentunit",
            queries=(("counterfoil:http_errors:ratio5m", "{{job}}"),),
            alert_above=0.05,
        ),
    ),
)

DECIDING: Final = Dashboard(
    uid="counterfoil-deciding",
    title="Counterfoil: deciding",
    panels=(
        Panel(
            title="Records behind, by partition",
            unit="short",
            queries=(('counterfoil_consumer_lag_records{group="counterfoil.redemption"}', "{{partition}}"),),
        ),
        Panel(
            title="Age of the oldest, by partition",
            unit="s",
            queries=(('counterfoil_consumer_oldest_seconds{group="counterfoil.redemption"}', "{{partition}}"),),
        ),
        Panel(
            title="Stopped partitions",
            unit="short",
            queries=(("sum by (group) (counterfoil_consumer_stopped)", "{{group}}"),),
            alert_above=0,
        ),
        Panel(title="Records a batch", unit="short", queries=_distribution("counterfoil_redemption_batch_records")),
        Panel(
            title="Slowest of each step",
            unit="s",
            queries=((_quantile("counterfoil_redemption_step_seconds", by="step"), "{{step}}"),),
        ),
        Panel(
            title="Write and commit", unit="s", queries=_distribution("counterfoil_redemption_commit_seconds"), alert_above=0.5
        ),
        Panel(
            title="Publish",
            unit="s",
            queries=_distribution("counterfoil_redemption_step_seconds", '{step="publish"}'),
            alert_above=2.5,
        ),
        Panel(
            title="Dead letters a minute",
            unit="short",
            queries=(("sum by (reason) (rate(counterfoil_redemption_dead_letters_total[5m])) * 60", "{{reason}}"),),
        ),
        Panel(
            title="Open breakers",
            unit="short",
            queries=(("max by (platform) (counterfoil_redemption_breaker_open)", "{{platform}}"),),
        ),
        Panel(
            title="Places lost a second",
            unit="ops",
            queries=(("sum(rate(counterfoil_redemption_places_lost_total[1m]))", "lost"),),
        ),
        Panel(
            title="Age of reference data",
            unit="s",
            queries=(('max by (topic) (counterfoil_topic_age_seconds{job="redemption"})', "{{topic}}"),),
            alert_above=30,
        ),
        Panel(
            title="Decided on each partition, a second",
            unit="ops",
            queries=(("sum by (partition) (rate(counterfoil_redemption_position[1m]))", "{{partition}}"),),
        ),
    ),
)

READING: Final = Dashboard(
    uid="counterfoil-reading",
    title="Counterfoil: codes, boards and figures",
    panels=(
        Panel(title="Codes loaded a second", unit="ops", queries=(("counterfoil:codes_loaded:rate1m", "codes"),)),
        Panel(title="Loading a block", unit="s", queries=_distribution("counterfoil_codegen_block_load_seconds")),
        Panel(
            title="Batches let go of, an hour",
            unit="short",
            queries=(("sum by (how) (increase(counterfoil_codegen_batches_total[1h]))", "{{how}}"),),
        ),
        Panel(title="Announcements that wait", unit="short", queries=(("max(counterfoil_codegen_outbox_records)", "records"),)),
        Panel(
            title="Oldest announcement",
            unit="s",
            queries=(("max(counterfoil_codegen_outbox_oldest_seconds)", "age"),),
            alert_above=30,
        ),
        Panel(
            title="Outcomes applied to boards, a second",
            unit="ops",
            queries=(("sum by (instance) (rate(counterfoil_ranking_outcomes_applied_total[1m]))", "{{instance}}"),),
        ),
        Panel(
            title="Age of the boards",
            unit="s",
            queries=(("counterfoil_ranking_board_age_seconds", "{{instance}}"),),
            alert_above=30,
        ),
        Panel(title="Making boards again", unit="s", queries=_distribution("counterfoil_ranking_refresh_seconds")),
        Panel(
            title="Outcomes folded by reporting, a second",
            unit="ops",
            queries=(("sum by (topic) (rate(counterfoil_reporting_folded_total[1m]))", "{{topic}}"),),
        ),
        Panel(title="Folding a batch", unit="s", queries=_distribution("counterfoil_reporting_fold_seconds")),
        Panel(
            title="Age of the figures", unit="s", queries=(("max(counterfoil_reporting_age_seconds)", "age"),), alert_above=60
        ),
        Panel(
            title="Outcomes not in the figures yet",
            unit="short",
            queries=(("max(counterfoil_reporting_outcomes_behind)", "records"),),
        ),
    ),
)

PROCESSES: Final = Dashboard(
    uid="counterfoil-processes",
    title="Counterfoil: processes and HTTP",
    panels=(
        Panel(
            title="Requests a second",
            unit="reqps",
            queries=(("sum by (job) (rate(counterfoil_http_requests_total[1m]))", "{{job}}"),),
        ),
        Panel(
            title="Slowest answers",
            unit="s",
            queries=((_quantile("counterfoil_http_request_seconds", by="job"), "{{job}}"),),
            alert_above=1,
        ),
        Panel(
            title="Answers by status",
            unit="reqps",
            queries=(("sum by (status) (rate(counterfoil_http_requests_total[1m]))", "{{status}}"),),
        ),
        Panel(
            title="Busiest routes",
            unit="reqps",
            queries=(("topk(8, sum by (job, route) (rate(counterfoil_http_requests_total[1m])))", "{{job}} {{route}}"),),
        ),
        Panel(title="Cores", unit="short", queries=(("sum by (job) (rate(process_cpu_seconds_total[1m]))", "{{job}}"),)),
        Panel(title="Resident memory", unit="bytes", queries=(("process_resident_memory_bytes", "{{job}} {{instance}}"),)),
        Panel(title="Open files", unit="short", queries=(("process_open_fds / process_max_fds", "{{job}} {{instance}}"),)),
        Panel(title="Up for", unit="s", queries=(("time() - process_start_time_seconds", "{{job}} {{instance}}"),)),
        Panel(
            title="Age of followed topics",
            unit="s",
            queries=(("max by (job, topic) (counterfoil_topic_age_seconds)", "{{job}} {{topic}}"),),
        ),
    ),
)

DASHBOARDS: Final = (CHAIN, DECIDING, READING, PROCESSES)


def document(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["counterfoil"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["counterfoil"], "title": "Counterfoil", "asDropdown": True}],
        "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
    }


def texts(dashboards: Sequence[Dashboard] = DASHBOARDS) -> dict[str, str]:
    """File name to content."""
    return {f"{d.uid}.json": json.dumps(document(d), indent=1, ensure_ascii=False) + "\n" for d in dashboards}


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number * PANEL_WIDTH, COLUMNS)
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.alert_above is not None:
        steps.append({"color": "red", "value": panel.alert_above})
    custom = {"fillOpacity": 8, "thresholdsStyle": {"mode": "line" if panel.alert_above else "off"}}
    defaults = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"x": column, "y": row * PANEL_HEIGHT, "w": PANEL_WIDTH, "h": PANEL_HEIGHT},
        "fieldConfig": {
            "defaults": defaults | ({"min": 0, "custom": custom} if panel.kind == "timeseries" else {}),
            "overrides": [],
        },
        "options": _OPTIONS[panel.kind],
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(panel.queries)
        ],
    }


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in texts().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
