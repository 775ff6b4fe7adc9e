"""FF1: the published samples, a second implementation, and that it is a permutation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codes.alphabet import CODE_LENGTH, DOMAIN
from shared.codes.ff1 import CHUNK, Ff1
from tests.unit.codes.reference_ff1 import ReferenceFf1, number_of, numerals_of

KEY_128 = "2B7E151628AED2A6ABF7158809CF4F3C"
KEY_192 = KEY_128 + "EF4359D8D580AA4F"
KEY_256 = KEY_192 + "7F036D6F04FC6A94"
DIGITS, LETTERS = "0123456789", "0123456789abcdefghi"
TWEAK_10, TWEAK_36 = "39383736353433323130", "3737373770717273373737"

# The samples that NIST publishes with SP 800-38G (FF1samples.pdf): key, radix, tweak, plaintext, ciphertext.
SAMPLES = [
    (KEY_128, 10, "", DIGITS, "2433477484"),
    (KEY_128, 10, TWEAK_10, DIGITS, "6124200773"),
    (KEY_128, 36, TWEAK_36, LETTERS, "a9tv40mll9kdu509eum"),
    (KEY_192, 10, "", DIGITS, "2830668132"),
    (KEY_192, 10, TWEAK_10, DIGITS, "2496655549"),
    (KEY_192, 36, TWEAK_36, LETTERS, "xbj3kv35jrawxv32ysr"),
    (KEY_256, 10, "", DIGITS, "6657667009"),
    (KEY_256, 10, TWEAK_10, DIGITS, "1001623463"),
    (KEY_256, 36, TWEAK_36, LETTERS, "xs8a0azh2avyalyzuwd"),
]

keys = st.binary(min_size=32, max_size=32)
values = st.integers(0, DOMAIN - 1)


@pytest.mark.parametrize(("key", "radix", "tweak", "plain", "cipher"), SAMPLES)
def test_the_reference_gives_nists_samples(key: str, radix: int, tweak: str, plain: str, cipher: str) -> None:
    ff1 = ReferenceFf1(bytes.fromhex(key), radix, bytes.fromhex(tweak))
    encrypted = ff1.encrypt([int(sign, 36) for sign in plain])
    assert encrypted == [int(sign, 36) for sign in cipher]
    assert ff1.decrypt(encrypted) == [int(sign, 36) for sign in plain]


@given(
    st.sampled_from((16, 24, 32)).flatmap(lambda size: st.binary(min_size=size, max_size=size)), st.lists(values, max_size=20)
)
def test_the_fast_one_agrees_with_the_reference_at_radix_32(key: bytes, numbers: list[int]) -> None:
    reference = ReferenceFf1(key, 32)
    expected = [number_of(reference.encrypt(numerals_of(number, CODE_LENGTH, 32)), 32) for number in numbers]
    assert Ff1(key).encrypt(np.array(numbers, dtype=np.int64)).tolist() == expected


@given(keys, st.lists(values, min_size=1, max_size=50))
def test_decrypting_undoes_encrypting(key: bytes, numbers: list[int]) -> None:
    plain = np.array(numbers, dtype=np.int64)
    ff1 = Ff1(key)
    assert ff1.decrypt(ff1.encrypt(plain)).tolist() == numbers
    assert ff1.encrypt(ff1.decrypt(plain)).tolist() == numbers


def test_chunks_do_not_show_and_no_code_comes_twice() -> None:
    ff1 = Ff1(bytes.fromhex(KEY_256))
    serials = np.arange(1, 3 * CHUNK + 7, dtype=np.int64)
    codes = ff1.encrypt(serials)
    assert len(np.unique(codes)) == len(serials)
    assert codes[CHUNK + 5] == ff1.encrypt(serials[CHUNK + 5 : CHUNK + 6])[0]
    assert ff1.decrypt(codes).tolist() == serials.tolist()


def test_the_first_and_the_last_value_are_permuted_too() -> None:
    ends = np.array([0, 1, DOMAIN - 1], dtype=np.int64)
    ff1 = Ff1(bytes.fromhex(KEY_256))
    assert ff1.decrypt(ff1.encrypt(ends)).tolist() == ends.tolist()
    assert len(ff1.encrypt(np.array([], dtype=np.int64))) == 0


@pytest.mark.parametrize("outside", [-1, DOMAIN])
def test_a_value_outside_of_the_domain_is_refused(outside: int) -> None:
    with pytest.raises(ValueError, match="between 0 and"):
        Ff1(bytes.fromhex(KEY_256)).encrypt(np.array([outside], dtype=np.int64))
