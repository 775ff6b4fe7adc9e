"""The three tokens of `.run/env`: kept while they work, made anew when they do not."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from deploy.local.failures import SetupFailed
from deploy.local.processes import POLL_SECONDS

PLATFORM: Final = "zork"
SCOPES: Final[Mapping[str, tuple[str, ...]]] = {
    "PLATFORM_TOKEN": (f"platform:{PLATFORM}",),
    "REPORTS_TOKEN": ("reports",),
}
PROBES: Final[Mapping[str, tuple[str, str]]] = {
    "ADMIN_TOKEN": ("codegen", "/v1/tokens?limit=1"),
    "PLATFORM_TOKEN": ("redemption", f"/v1/redemptions/{PLATFORM}/no-such-event"),
    "REPORTS_TOKEN": ("reporting", "/v1/campaigns/no-such-campaign/summary"),
}
REFUSED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
REACH_SECONDS: Final = 20.0
ADMIN_ADVICE: Final = "set ADMIN_TOKEN to one that works, or start anew with `make clean`"


def ensure_tokens(urls: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Platform's and reports' tokens, working. `known` has ADMIN_TOKEN, and those of an earlier run. `urls` by service."""
    _wait_until_accepted(urls, "ADMIN_TOKEN", known["ADMIN_TOKEN"])
    tokens = {}
    for name, scopes in SCOPES.items():
        token = known.get(name)
        if not token or not _is_accepted(urls, name, token):
            token = _make(urls["codegen"], known["ADMIN_TOKEN"], name, scopes)
            _wait_until_accepted(urls, name, token)
        tokens[name] = token
    return tokens


def _make(codegen: str, admin_token: str, name: str, scopes: tuple[str, ...]) -> str:
    body = json.dumps({"name": f"local {name.lower()}", "scopes": list(scopes), "expires_at": None}).encode()
    status, answer = _ask(f"{codegen}/v1/tokens", admin_token, body)
    if status != HTTPStatus.CREATED:
        raise SetupFailed(
            f"codegen made no {name} (status {status}: {answer!r}): see .run/logs/codegen-1.log, then run this again."
        )
    return str(json.loads(answer)["token"])


def _wait_until_accepted(urls: Mapping[str, str], name: str, token: str) -> None:
    deadline = time.monotonic() + REACH_SECONDS
    while not _is_accepted(urls, name, token):
        if time.monotonic() > deadline:
            service, _ = PROBES[name]
            advice = ADMIN_ADVICE if name == "ADMIN_TOKEN" else "try again"
            raise SetupFailed(f"{service} does not accept {name} after {REACH_SECONDS:.0f} s: {advice}.")
        time.sleep(POLL_SECONDS)


def _is_accepted(urls: Mapping[str, str], name: str, token: str) -> bool:
    service, path = PROBES[name]
    status, _ = _ask(urls[service] + path, token)
    return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in REFUSED


def _ask(url: str, token: str, body: bytes | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(  # noqa: S310 (http, our own)
        url, data=body, headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        raise SetupFailed(f"{url} does not answer ({error}): see .run/logs, then run this again.") from error
