"""Recognition of people who come again."""

import pytest

from convergan.study.collect.entry import (
    Entry,
    from_cookie,
    from_link,
    from_prolific,
    new_link,
    way_of,
)
from convergan.study.storage.keys import Keys

KEYS = Keys(bytes(range(32)), "admin")
PID = "5f3a9c2e1b7d4e6f8a0b1c2d"


def test_nothing_of_a_platforms_identifiers_is_kept():
    entry = from_prolific(KEYS, PID, "study77", "session88")
    assert entry.way == "prolific"
    for identifier in (PID, "study77", "session88"):
        assert identifier not in repr(entry) + entry.to_cookie(KEYS)
    assert entry.person == from_prolific(KEYS, PID, "another", "visit").person
    assert entry.person != from_prolific(KEYS, PID[::-1], "study77", "session88").person
    assert from_prolific(KEYS, PID, "", "") == Entry("prolific", entry.person)


@pytest.mark.parametrize("way", ["personal", "open", "preview"])
def test_an_entry_survives_in_a_cookie(way):
    entry = from_link(KEYS, new_link(KEYS, way), None)
    assert entry is not None and entry.way == way
    assert from_cookie(KEYS, entry.to_cookie(KEYS)) == entry


def test_cookies_of_others_are_not_believed():
    entry = from_link(KEYS, new_link(KEYS, "open"), None)
    assert entry is not None
    cookie = entry.to_cookie(Keys(bytes(32), "admin"))
    for wrong in (None, "", "x", cookie, entry.to_cookie(KEYS)[1:]):
        assert from_cookie(KEYS, wrong) is None


def test_a_personal_link_is_one_person_an_open_one_a_person_for_each_browser():
    personal, open_link = new_link(KEYS, "personal"), new_link(KEYS, "open")
    assert from_link(KEYS, personal, None) == from_link(KEYS, personal, "anything")
    first, second = (from_link(KEYS, open_link, None) for _ in range(2))
    assert first is not None and first != second
    assert from_link(KEYS, open_link, first.to_cookie(KEYS)) == first


def test_those_who_came_before_signatures_changed_are_known_again():
    """A personal link on paper, cookies of an open link and of Prolific, from a study that was under way."""
    link = "personal-Zk3_-qT9xW0aB7cD.a7751c379855b363803b463a53e441e0"
    person = "246dc4c9fe96136bb1acbfc8a38507c906b08e50b10a6b7c0e4a91776dd7ccfc"
    assert from_link(KEYS, link, None) == Entry("personal", person)
    cookie = (
        "prolific~295b3903f0d9df13dfbe866592e4de659dab1b8765e983688435e1a2f7a5f2ef"
        "~97c7319611e62222c636fb54d428b3106fd347573101ebdf2db974d97af4a8f7"
        "~d900b3e5b8385fbdde66c22624d1bfccc797f0158435af49045e9dfe87df0295"
        ".019e8b10c08edb32096c29dce596ff7b"
    )
    assert from_cookie(KEYS, cookie) == from_prolific(KEYS, PID, "study77", "session88")
    cookie = (
        "open~ff1ae5ccef49c9e91a9016996b470fb49298268fc796dde60b6f106aa7a61677~~"
        ".eea9b9b3e97f1b2f4008e9155d976da4"
    )
    browser = from_cookie(KEYS, cookie)
    assert browser is not None and from_link(KEYS, new_link(KEYS, "open"), cookie) == browser
    old_link = "open-Zk3_-qT9xW0aB7cD.8a53d084548973fecb39b3866e2d7738"
    assert from_link(KEYS, old_link, browser.to_cookie(KEYS)) == browser


def test_each_preview_is_new():
    link = new_link(KEYS, "preview")
    first = from_link(KEYS, link, None)
    assert first is not None and from_link(KEYS, link, first.to_cookie(KEYS)) != first


def test_a_link_says_who_comes_by_it_and_prolifics_is_nobodys_alone():
    for way in ("prolific", "personal", "open", "preview"):
        assert way_of(KEYS, new_link(KEYS, way)) == way
    assert from_link(KEYS, new_link(KEYS, "prolific"), None) is None
    assert from_cookie(KEYS, from_prolific(KEYS, PID, "", "").to_cookie(KEYS)).way == "prolific"


def test_links_that_were_not_given_out_lead_nowhere():
    good = new_link(KEYS, "open")
    for wrong in ("", "open-abc", good[:-1], good.replace("open", "preview"), "a.b"):
        assert from_link(KEYS, wrong, None) is None and way_of(KEYS, wrong) is None
    assert from_link(Keys(bytes(32), "admin"), good, None) is None
