"""What codegen does by itself: the worker that makes batches, the relay that sends the outbox."""
