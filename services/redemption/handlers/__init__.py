"""What the service does, one use-case a module; called from Kafka, HTTP, XML-RPC and the command line alike."""
