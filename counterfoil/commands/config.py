"""`counterfoil config`: whether the environment describes services that can run, and the table of all settings."""

import importlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import typer
from pydantic_core import PydanticUndefined

from counterfoil.commands.operate import ServiceName
from counterfoil.environment import CommandError
from shared.environment import ServiceSettings, SettingsError, read_code_keys, read_settings, variable_names

app = typer.Typer(no_args_is_help=True)

TABLE: Final = Path(__file__).parents[2] / "docs" / "settings.md"
NEED_KEYS: Final = (ServiceName.CODEGEN, ServiceName.REDEMPTION)
NOT_SETTINGS: Final = ("URL", "PIDS")
"""What `.run/env` says of a service besides its settings."""

INTRODUCTION: Final = """\
# Settings

Made from the settings classes by `counterfoil config table`; a test tells when it is stale. Every setting is an environment
variable. Where two names are given, the first wins: one file can configure all four services. A secret may be given as a file:
`NAME_FILE` names it, for names that end in `_PASSWORD`, `_URL`, `_TOKEN` or `_SECRET`. `counterfoil config check` names every
problem at once, and so does a service that does not start (exit status 2).

| variable | | |
|---|---|---|
| `CODE_KEYS_FILE` | codegen and redemption | Path of the key ring; `CODE_KEYS` may hold it instead |
| `COUNTERFOIL_ENVIRONMENT` | `development` | `production` refuses Kafka in plain text and a key ring that others may read |
"""


@app.command("check")
def check(
    names: Annotated[list[ServiceName] | None, typer.Argument(help="The services; all four if none is named")] = None,
) -> None:
    """Names every problem of the environment, a line each; says nothing of values. Status 1 when there is one."""
    problems = [f"{name}: {problem}" for name in names or list(ServiceName) for problem in find_problems(name, os.environ)]
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise CommandError(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the environment")
    typer.echo("the environment is fine")


@app.command("table")
def table(file: Annotated[Path, typer.Option(help="Where to")] = TABLE) -> None:
    """Writes the table of all settings, docs/settings.md."""
    file.write_text(settings_document())


def settings_of(name: ServiceName) -> type[ServiceSettings]:
    """The settings class of a service, from its composition root."""
    found: type[ServiceSettings] = getattr(importlib.import_module(f"services.{name}.app"), f"{name.capitalize()}Settings")
    return found


def find_problems(name: ServiceName, environment: Mapping[str, str]) -> Iterator[str]:
    """Everything that would keep the service from starting, or that is set and read by nobody."""
    settings = settings_of(name)
    try:
        read = read_settings(settings, environment)
    except SettingsError as error:
        yield from str(error).splitlines()
    else:
        yield from _unfit_for_production(read)
    if name in NEED_KEYS:
        yield from _problems_of_keys(environment)
    yield from _read_by_nobody(name, settings, environment)


def settings_document() -> str:
    """The text of docs/settings.md."""
    common = set(ServiceSettings.model_fields) - {"counterfoil_environment"}
    sections = [INTRODUCTION, "\n## Every service\n\n", *_rows(ServiceSettings, common - {"database_url", "host", "port"})]
    for name in ServiceName:
        settings = settings_of(name)
        own = set(settings.model_fields) - common - {"counterfoil_environment"} | {"database_url", "host", "port"}
        sections += [f"\n## {name}\n\n", *_rows(settings, own)]
    return "".join(sections)


def _rows(settings: type[ServiceSettings], fields: set[str]) -> Iterator[str]:
    yield "| variable | default | allowed | |\n|---|---|---|---|\n"
    for field, info in settings.model_fields.items():
        if field in fields:
            names = ", ".join(f"`{name}`" for name in variable_names(settings, field))
            default = "**needed**" if info.default is PydanticUndefined else _shown(info.default)
            yield f"| {names} | {default} | {_allowed(info.annotation, info.metadata)} | {info.description or ''} |\n"


def _shown(default: object) -> str:
    return "none" if default in (None, "") else f"`{default}`"


def _allowed(annotation: Any, metadata: list[Any]) -> str:
    if get_origin(annotation) is Literal:
        return " ".join(f"`{choice}`" for choice in get_args(annotation))
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType] if _is_union(annotation) else [annotation]
    words = {int: "whole number", float: "number", str: "text", Path: "path", bool: "yes or no"}
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = [f"{sign} {getattr(limit, name):,}" for limit in metadata for name, sign in signs.items() if hasattr(limit, name)]
    return " ".join([" or ".join(words.get(kind, str(getattr(kind, "__name__", kind))) for kind in kinds), *limits])


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _unfit_for_production(settings: ServiceSettings) -> Iterator[str]:
    if settings.counterfoil_environment == "production" and not settings.kafka_security_protocol.endswith("SSL"):
        yield "KAFKA_SECURITY_PROTOCOL: production wants SSL or SASL_SSL"


def _problems_of_keys(environment: Mapping[str, str]) -> Iterator[str]:
    try:
        read_code_keys(environment)
    except SettingsError as error:
        yield str(error)
        return
    path = environment.get("CODE_KEYS_FILE")
    if path and environment.get("COUNTERFOIL_ENVIRONMENT") == "production" and Path(path).stat().st_mode & stat.S_IROTH:
        yield f"CODE_KEYS_FILE: everybody on this machine may read {path}; chmod it to 600"


def _read_by_nobody(name: ServiceName, settings: type[ServiceSettings], environment: Mapping[str, str]) -> Iterator[str]:
    """A variable that begins with the service's name and is no setting: a typing error, most likely."""
    known = {variable for field in settings.model_fields for variable in variable_names(settings, field)}
    prefix = f"{name.upper()}_"
    for variable in sorted(environment):
        plain = variable.removesuffix("_FILE")
        if variable.startswith(prefix) and plain not in known and plain.removeprefix(prefix) not in NOT_SETTINGS:
            yield f"{variable}: there is no such setting"
