"""Kafka's users and what each may do: just what the topics' own lists of producers and consumers say."""

from collections.abc import Iterator, Sequence
from typing import Final

from deploy.local.databases import SERVICES
from shared.contracts.topics import ALL_TOPICS, REDEMPTION_GROUP, REQUESTS, Topic
from shared.kafka.access import Grant, Operation, Pattern, Resource

OPERATOR: Final = "operator"
"""Makes topics and grants, and runs the command line: the broker's superuser."""

PLATFORM: Final = "platform-zork"
PLATFORMS: Final = "game platforms"
USERS: Final = (OPERATOR, *SERVICES, PLATFORM)
OFFSETS_ALONE: Final = {("ranking", REQUESTS.name)}
"""Ranking asks how long the requests are, to know when a window is over; it never reads one."""


def grants(platforms: Sequence[str] = (PLATFORM,)) -> list[Grant]:
    """Everything that a user other than the operator may do. `platforms`: the users of game platforms."""
    return [
        *(grant for topic in ALL_TOPICS for grant in _of_topic(topic, platforms)),
        *(_own_groups(service) for service in SERVICES),
        Grant(user="ranking", operation=Operation.DESCRIBE, resource=Resource.GROUP, name=REDEMPTION_GROUP),
    ]


def _of_topic(topic: Topic, platforms: Sequence[str]) -> Iterator[Grant]:
    for producer in topic.producers:
        for user in platforms if producer == PLATFORMS else (producer,):
            yield Grant(user=user, operation=Operation.WRITE, resource=Resource.TOPIC, name=topic.name)
    for consumer in topic.consumers:
        operation = Operation.DESCRIBE if (consumer, topic.name) in OFFSETS_ALONE else Operation.READ
        yield Grant(user=consumer, operation=operation, resource=Resource.TOPIC, name=topic.name)


def _own_groups(service: str) -> Grant:
    name = f"counterfoil.{service}"
    return Grant(user=service, operation=Operation.READ, resource=Resource.GROUP, name=name, pattern=Pattern.PREFIXED)
