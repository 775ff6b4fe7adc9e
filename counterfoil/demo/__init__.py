"""`counterfoil demo`: plays a campaign on a running system, as real stores and games would, and shows what comes of it."""
