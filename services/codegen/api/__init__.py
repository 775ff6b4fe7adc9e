"""Codegen's HTTP API: parse, call a handler, shape the answer."""
