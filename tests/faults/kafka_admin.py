"""What an operator does to topics by Kafka's own tools."""

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from shared.environment import KafkaConnection


async def delete_records_before(connection: KafkaConnection, topic: str, partition: int, offset: int) -> None:
    """Cuts a log off, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=connection.bootstrap_servers)
    await admin.start()
    try:
        place = TopicPartition(connection.physical(topic), partition)
        await admin.delete_records({place: RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()
