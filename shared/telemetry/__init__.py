"""What a service says of itself: logs, metrics, and whether it is ready."""
