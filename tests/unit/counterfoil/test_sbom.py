"""`counterfoil sbom`: a valid CycloneDX document of what the services run with, each package with a licence."""

import json
from datetime import UTC, datetime

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from counterfoil.commands.sbom import REQUIREMENTS, UNKNOWN, document, installed, licence_of, locked_names, normalised

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_the_document_is_valid_and_the_same_each_time() -> None:
    found = installed()
    text = json.dumps(document(found, now=NOW))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert text == json.dumps(document(found, now=NOW))


def test_everything_that_is_locked_for_the_services_is_in_it() -> None:
    names = {normalised(distribution.name) for distribution in installed()}
    for_other_platforms = {"colorama", "tzdata", "uvloop", "async-timeout", "typing-extensions"}
    assert locked_names(REQUIREMENTS.read_text()) - names <= for_other_platforms


def test_every_package_of_the_services_states_a_licence_that_allows_what_we_do() -> None:
    locked = locked_names(REQUIREMENTS.read_text())
    licences = {d.name: licence_of(d) for d in installed() if normalised(d.name) in locked}
    assert not [name for name, licence in licences.items() if licence == UNKNOWN]
    assert not [name for name, licence in licences.items() if "AGPL" in licence or licence.startswith(("GPL", "GNU General"))]
