"""The generated documents are what the code says now."""

from pathlib import Path

from shared.contracts.asyncapi import asyncapi_document, asyncapi_text
from shared.contracts.topics import ALL_TOPICS

ROOT = Path(__file__).parents[2]


def test_the_asyncapi_document_is_fresh() -> None:
    text = (ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8")
    assert text == asyncapi_text(), "docs/asyncapi.yaml is stale: run `counterfoil documents`"


def test_every_topic_has_a_channel_with_messages() -> None:
    channels = asyncapi_document()["channels"]
    assert set(channels) == {topic.name for topic in ALL_TOPICS}
    assert all(channel["messages"] for channel in channels.values())
