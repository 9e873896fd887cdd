"""API keys and session tokens."""

from __future__ import annotations

import hmac

import pytest

from visavis.serve.keys import Keys, Tokens, new_id

GOOD, OTHER = "0123456789abcdef", "fedcba9876543210"


def test_a_key_opens_and_is_named_without_being_told() -> None:
    keys = Keys([GOOD, OTHER])
    name = keys.holder(OTHER)
    assert name is not None
    assert name != keys.holder(GOOD)
    assert len(name) == 8
    assert OTHER not in repr(vars(keys))
    assert keys.holder(GOOD + "x") is None
    assert keys.holder("") is None
    assert keys.holder("\udcff") is None
    assert keys.are_needed
    assert not Keys([]).are_needed


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = hmac.compare_digest

    def counting(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    Keys([GOOD, OTHER]).holder(GOOD)
    assert compared == [(32, 32), (32, 32)], "digests of one length, all of them"


def test_a_token_dies_with_its_session() -> None:
    tokens = Tokens()
    first, second = tokens.issue("a"), tokens.issue("b")
    assert tokens.session_of(first) == "a"
    assert tokens.session_of(second) == "b"
    assert first not in repr(vars(tokens))
    tokens.revoke("a")
    assert tokens.session_of(first) is None
    assert len(tokens) == 1
    assert tokens.session_of("") is None


def test_tokens_and_identifiers_are_never_the_same_twice() -> None:
    tokens = Tokens()
    assert len({tokens.issue("a") for _ in range(500)}) == 500
    assert all(len(token) == 43 for token in [tokens.issue("a")])
    assert len({new_id() for _ in range(500)}) == 500
