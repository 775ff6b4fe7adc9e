#!/usr/bin/env python3
"""Asks a broker which versions it speaks, as Kafka's own tool of this name does: status 0 when it answers."""

import socket
import struct
import sys

API_VERSIONS = 18

host, _, port = sys.argv[sys.argv.index("--bootstrap-server") + 1].partition(":")
with socket.create_connection((host, int(port)), timeout=5) as connection:
    request = struct.pack(">hhih", API_VERSIONS, 0, 7, -1)
    connection.sendall(struct.pack(">i", len(request)) + request)
    answer = connection.makefile("rb").read(10)
_, correlation, error = struct.unpack(">iih", answer)
sys.exit(0 if (correlation, error) == (7, 0) else 1)
