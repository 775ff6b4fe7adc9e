"""The only place that speaks to Kafka: topics, reading by partition, following reference topics, publishing.

Names of topics and groups are ours (`contracts.md`); the connection's prefix is added here and nowhere else.
"""
