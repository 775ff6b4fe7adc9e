"""Types and rules of campaigns, stores, batches, voids and tokens: values in, values out; no I/O, clock or randomness."""
