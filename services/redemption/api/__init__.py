"""HTTP: JSON for platforms without Kafka, XML-RPC for those of 2009."""
