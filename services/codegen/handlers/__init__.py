"""The use-cases of codegen, each with its transaction, called from HTTP, Kafka and jobs alike."""
