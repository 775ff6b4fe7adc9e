"""`counterfoil sbom`: what this installation is made of, as CycloneDX 1.6, with versions and licences."""

import hashlib
import importlib.metadata
import json
import re
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import Distribution
from pathlib import Path
from typing import Annotated, Any, Final

import typer

OURS: Final = "counterfoil"
UNKNOWN: Final = "not stated"
REQUIREMENTS: Final = Path(__file__).parents[2] / "requirements" / "services.txt"
CLASSIFIER: Final = "License :: OSI Approved :: "


def sbom(
    file: Annotated[Path | None, typer.Argument(help="Where to; standard output if left out")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that is installed, not only what the services run with")
    ] = False,
    licences: Annotated[bool, typer.Option("--licences", help="A table of licences instead")] = False,
) -> None:
    """Lists every installed package that the services run with, with its licence, as a CycloneDX document."""
    wanted = None if everything else locked_names(REQUIREMENTS.read_text())
    found = [d for d in installed() if wanted is None or normalised(d.name) in wanted]
    if licences:
        for distribution in found:
            typer.echo(f"{distribution.name:<32} {distribution.version:<14} {licence_of(distribution)}")
        typer.echo(f"{len(found)} packages: " + ", ".join(f"{n} × {name}" for name, n in _counted(found)), err=True)
        return
    text = json.dumps(document(found, now=datetime.now(UTC)), indent=2) + "\n"
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text)


def document(distributions: list[Distribution], *, now: datetime) -> dict[str, Any]:
    """The CycloneDX document. Its serial number follows from the components: the same installation has the same."""
    components = [component(distribution) for distribution in distributions]
    identity = hashlib.sha256("".join(c["purl"] for c in components).encode()).digest()[:16]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=identity, version=4)}",
        "version": 1,
        "metadata": {
            "timestamp": now.isoformat(timespec="seconds"),
            "component": {"type": "application", "name": OURS, "version": _our_version(), "bom-ref": OURS},
        },
        "components": components,
        "dependencies": [{"ref": OURS, "dependsOn": [c["bom-ref"] for c in components]}],
    }


def component(distribution: Distribution) -> dict[str, Any]:
    """One package."""
    purl = f"pkg:pypi/{normalised(distribution.name)}@{distribution.version}"
    licence = licence_of(distribution)
    stated = [] if licence == UNKNOWN else [{"license": {"name": licence}}]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": distribution.name,
        "version": distribution.version,
        "purl": purl,
        **({"licenses": stated} if stated else {}),
    }


def installed() -> list[Distribution]:
    """Every installed package but ours, by name."""
    by_name: Mapping[str, Distribution] = {normalised(d.name): d for d in importlib.metadata.distributions() if d.name}
    return [by_name[name] for name in sorted(by_name) if name != OURS]


def licence_of(distribution: Distribution) -> str:
    """What the package says of its licence: an SPDX expression, a classifier, or its first line."""
    metadata: dict[str, Any] = distribution.metadata.json
    classifiers = metadata.get("classifier", [])
    classified = [text.removeprefix(CLASSIFIER) for text in classifiers if text.startswith(CLASSIFIER)]
    first_line = str(metadata.get("license", "")).strip().split("\n")[0][:80]
    return str(metadata.get("license_expression", "")) or " AND ".join(classified) or first_line or UNKNOWN


def locked_names(text: str) -> set[str]:
    """The names that a lock of requirements asks for."""
    return set(map(normalised, re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==", text, re.MULTILINE)))


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _our_version() -> str:
    try:
        return importlib.metadata.version(OURS)
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _counted(distributions: list[Distribution]) -> Iterator[tuple[str, int]]:
    yield from Counter(licence_of(distribution) for distribution in distributions).most_common()
