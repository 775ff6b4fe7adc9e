"""The key ring: how it is read, what is refused, and what it never shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codes.key_ring import CodeKey, InvalidKeyRing, KeyRing, new_key, parse_key_ring

OLD, NEW = CodeKey("k1", bytes(range(32))), CodeKey("k2", bytes(range(1, 33)))
RING = KeyRing((OLD, NEW))


def test_a_key_ring_is_read_and_written_again() -> None:
    assert parse_key_ring(RING.to_json()) == RING
    assert RING.newest == NEW
    assert RING.by_id("k1") == OLD
    assert RING.by_id("k3") is None


def test_a_key_shows_nothing_of_itself() -> None:
    assert OLD.key.hex() not in repr(RING)
    assert len(OLD.check_value) == 8
    assert OLD.check_value != NEW.check_value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys": []}',
        '{"keys": [{"id": "k1", "key": "00"}]}',
        '{"keys": [{"id": "k1", "key": "zz"}]}',
        KeyRing((OLD, OLD)).to_json(),
    ],
)
def test_what_is_no_key_ring_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InvalidKeyRing):
        parse_key_ring(text)


def test_a_key_has_32_bytes() -> None:
    with pytest.raises(InvalidKeyRing):
        new_key("k1", bytes(31))


def test_two_ids_with_the_same_key_are_refused() -> None:
    with pytest.raises(InvalidKeyRing, match="a key of its own"):
        parse_key_ring(KeyRing((OLD, CodeKey("k2", OLD.key))).to_json())


def test_a_key_without_an_id_is_refused() -> None:
    with pytest.raises(InvalidKeyRing, match="such as k1"):
        new_key("", bytes(32))


def test_a_refusal_says_which_key_and_what_to_do_but_shows_no_key() -> None:
    with pytest.raises(InvalidKeyRing) as refused:
        parse_key_ring('{"keys": [{"id": "k7", "key": "c0ffee"}]}')
    assert "k7" in str(refused.value)
    assert "64 hex digits" in str(refused.value)
    assert "c0ffee" not in str(refused.value)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=5, unique=True))
def test_any_ring_survives_its_json(keys: list[bytes]) -> None:
    ring = KeyRing(tuple(CodeKey(f"k{number}", key) for number, key in enumerate(keys, 1)))
    assert parse_key_ring(ring.to_json()) == ring


def test_the_check_value_of_a_key_never_changes() -> None:
    """Batches store it: another way of making it would call every right key wrong."""
    assert OLD.check_value == "a6fe4279"
