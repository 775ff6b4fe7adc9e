"""Postgres' binary COPY format for rows of fixed width, made and read by numpy without a Python object a row.

The format (PostgreSQL documentation, COPY, "Binary Format"): a signature of 11 bytes, two 32-bit words, then for each row a
16-bit number of fields and each field as a 32-bit length and its bytes, big-endian; at the end -1 as the number of fields.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"

_WRITTEN: Final = np.dtype(
    [
        ("fields", ">i2"),
        ("serial_length", ">i4"),
        ("serial", ">i8"),
        ("batch_length", ">i4"),
        ("batch", ">i4"),
        ("store_length", ">i4"),
        ("store", ">i4"),
    ]
)
_READ: Final = np.dtype(
    [("fields", ">i2"), ("serial_length", ">i4"), ("serial", ">i8"), ("store_length", ">i4"), ("store", ">i4")]
)


def write_codes(serials: NDArray[np.int64], batch_number: int, stores: NDArray[np.int32]) -> bytes:
    """Rows (serial bigint, batch_number integer, store_number integer), without header and trailer; 30 bytes each."""
    rows = np.empty(len(serials), _WRITTEN)
    rows["fields"] = 3
    rows["serial_length"], rows["batch_length"], rows["store_length"] = 8, 4, 4
    rows["serial"], rows["batch"], rows["store"] = serials, batch_number, stores
    return rows.tobytes()


def read_codes(data: bytes | bytearray) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Serials and store numbers of rows (serial bigint, store_number integer), header and trailer included."""
    rows = np.frombuffer(data, _READ, count=(len(data) - len(HEADER) - len(TRAILER)) // _READ.itemsize, offset=len(HEADER))
    return rows["serial"].astype(np.int64), rows["store"].astype(np.int32)


def written_codes(rows: bytes) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Serials and store numbers of rows that `write_codes` made."""
    table = np.frombuffer(rows, _WRITTEN)
    return table["serial"].astype(np.int64), table["store"].astype(np.int32)
