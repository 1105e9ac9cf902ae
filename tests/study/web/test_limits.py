"""Limits on how often one visitor may ask."""

from convergan.study.web import limits
from convergan.study.web.limits import Limit, visitor_at


def test_so_many_at_once_and_then_so_many_a_second():
    now = [100.0]
    limit = Limit(at_once=3, a_second=2, clock=lambda: now[0])
    assert [limit.allows("a") for _ in range(5)] == [True, True, True, False, False]
    assert limit.allows("b")
    now[0] += 1
    assert [limit.allows("a") for _ in range(3)] == [True, True, False]
    now[0] += 1000
    assert [limit.allows("a") for _ in range(4)] == [True, True, True, False]


def test_who_has_been_away_longest_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(limits, "_MOST_VISITORS", 3)
    limit = Limit(at_once=1, a_second=0, clock=lambda: 0)
    assert all(limit.allows(name) for name in "abc")
    assert not limit.allows("a")
    assert limit.allows("d")
    # "b" had been away longest.
    assert not limit.allows("a") and limit.allows("b")


def test_whoever_has_one_address_of_ipv6_has_its_network():
    assert visitor_at("2001:db8:1:2::7") == visitor_at("2001:db8:1:2:ffff::9") == "2001:db8:1:2::"
    assert visitor_at("2001:db8:1:3::7") != visitor_at("2001:db8:1:2::7")
    for address in ("192.0.2.7", "::ffff:192.0.2.7", "testclient", ""):
        assert visitor_at(address) == address
