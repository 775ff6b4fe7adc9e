"""The whole system in containers, really run: `make test-containers`. Not part of `make test`: it needs root and minutes."""
