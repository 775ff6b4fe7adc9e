"""A real Kafka, a real Postgres and the four services on one machine, without Docker and without root.

`python -m deploy.local up|down|clean|status`; the tests start the two servers through the same modules.
"""
