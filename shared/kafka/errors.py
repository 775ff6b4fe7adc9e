"""What can go wrong between a service and its topics; the three that decide what a loop does next."""


class Retryable(Exception):  # noqa: N818 (says what to do, not what went wrong)
    """The outside is away or slow. Nothing was lost: wait and do the same again."""


class PartitionStopped(Exception):  # noqa: N818
    """This partition must not go on by itself. `reason` says why, `command` what an operator runs to mend it."""

    def __init__(self, reason: str, command: str) -> None:
        super().__init__(f"{reason} To mend it: {command}")
        self.reason = reason
        self.command = command


class OutOfRange(Exception):  # noqa: N818
    """The log no longer, or does not yet, hold the offset that was asked for."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(f"{topic} partition {partition} does not hold offset {offset}")
        self.topic = topic
        self.partition = partition
        self.offset = offset
