from __future__ import annotations

import copy
import pickle

from mainstay.pipeline import Secret

KEY = "sk-very-secret"


def test_a_secret_shows_stars_however_it_is_printed() -> None:
    secret = Secret(KEY)
    for shown in (
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r}",
        str((secret, secret)),
        str([secret]),
        str({"k": secret}),
    ):
        assert KEY not in shown
        assert "***" in shown


def test_only_reveal_gives_the_key() -> None:
    assert Secret(KEY).reveal() == KEY


def test_a_secret_of_a_secret_is_the_same_secret() -> None:
    assert Secret(Secret(KEY)).reveal() == KEY


def test_secrets_compare_and_hash_by_value_and_never_equal_the_bare_key() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert len({Secret(KEY), Secret(KEY)}) == 1


def test_an_empty_secret_is_false_and_hides_nothing() -> None:
    assert Secret(KEY)
    assert not Secret("")
    assert Secret("").hide_in("abc") == "abc"


def test_a_secret_hides_itself_wherever_it_stands_in_a_text() -> None:
    assert Secret(KEY).hide_in(f"a {KEY} b {KEY}") == "a *** b ***"


def test_a_secret_travels_through_pickle_and_copy() -> None:
    assert pickle.loads(pickle.dumps(Secret(KEY))) == Secret(KEY)
    assert copy.deepcopy(Secret(KEY)) == Secret(KEY)
