"""The AsyncAPI 3.1 document of all topics, from the catalogue's own types. `docs/asyncapi.yaml` is this, and a check says when
it is stale. YAML is a superset of JSON; the file is written as JSON, which every YAML reader reads, so that nothing but the
standard library decides its form.
"""

import json
from typing import Any, Final

import msgspec

from shared.contracts.catalogue import EVENTS, Event
from shared.contracts.topics import ALL_TOPICS, DEAD_LETTERS, Topic

VERSION: Final = "1.0.0"
_BINDING: Final = "0.5.0"


def asyncapi_document() -> dict[str, Any]:
    """The document as plain values."""
    components, schemas = _schemas()
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Counterfoil events",
            "version": VERSION,
            "description": "Values are JSON in UTF-8; headers follow the CloudEvents Kafka binding (binary mode) and may "
            "be left out by platforms. Readers ignore unknown fields. Times are RFC 3339 UTC.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in ALL_TOPICS},
        "operations": {name: operation for topic in ALL_TOPICS for name, operation in _operations(topic)},
        "components": {
            "messages": {
                **{event.name: _message(event, schemas[event.name]) for event in EVENTS},
                "dead_letter": _dead_letter(),
            },
            "schemas": components,
        },
    }


def asyncapi_text() -> str:
    """The document as the file holds it."""
    return json.dumps(asyncapi_document(), indent=2, ensure_ascii=False) + "\n"


def _schemas() -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    schemas, components = msgspec.json.schema_components(
        [event.value for event in EVENTS], ref_template="#/components/schemas/{name}"
    )
    return components, {event.name: schema for event, schema in zip(EVENTS, schemas, strict=True)}


def _messages_of(topic: Topic) -> list[str]:
    return ["dead_letter"] if topic is DEAD_LETTERS else [event.name for event in EVENTS if event.topic is topic]


def _channel(topic: Topic) -> dict[str, Any]:
    settings = ", ".join(f"{name}={value}" for name, value in topic.settings.items())
    return {
        "address": topic.name,
        "description": f"Key: {topic.key}. {settings}".strip(),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages_of(topic)},
        "bindings": {"kafka": {"topic": topic.name, "partitions": topic.partitions, "bindingVersion": _BINDING}},
    }


def _operations(topic: Topic) -> list[tuple[str, dict[str, Any]]]:
    channel = {"$ref": f"#/channels/{topic.name}"}
    sends = [(producer, "send") for producer in topic.producers]
    receives = [(consumer, "receive") for consumer in topic.consumers]
    return [
        (f"{who}.{action}.{topic.name}".replace(" ", "-"), {"action": action, "channel": channel, "title": f"{who} {action}s"})
        for who, action in sends + receives
    ]


def _message(event: Event, schema: dict[str, Any]) -> dict[str, Any]:
    examples = [{"name": path.stem, "payload": json.loads(path.read_text(encoding="utf-8"))} for path in event.example_files()]
    summary = (event.value.__doc__ or "").strip().partition("\n")[0]
    return {
        "name": event.name,
        "title": event.name.replace("_", " "),
        "summary": summary,
        "payload": schema,
        "examples": examples,
    }


def _dead_letter() -> dict[str, Any]:
    names = ("reason", "detail", "origin_topic", "origin_partition", "origin_offset", "service", "failed_at")
    return {
        "name": "dead_letter",
        "title": "dead letter",
        "summary": "The original key and value of a record that could not be understood, cut at 64 KiB (header `truncated`).",
        "headers": {
            "type": "object",
            "required": list(names),
            "properties": {name: {"type": "string"} for name in (*names, "truncated")},
        },
        "payload": {},
    }
