import threading

import pytest

from convergan.images.threads import map_in_threads


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_the_items(threads):
    last_first = threading.Barrier(threads)

    def work(number: int) -> int:
        if number < threads:
            last_first.wait(timeout=60)
        return number * number

    results = map_in_threads(work, iter(range(20)), threads=threads)
    assert list(results) == [number * number for number in range(20)]
    assert list(map_in_threads(work, [], threads=threads)) == []


def test_threads_run_only_a_little_ahead():
    numbers = []
    items = (numbers.append(number) or number for number in range(100))
    results = map_in_threads(str, items, threads=2)
    assert numbers == []
    assert next(results) == "0" and len(numbers) <= 4
    assert next(results) == "1" and len(numbers) <= 5


def test_each_thread_begins_with_what_it_is_told():
    local = threading.local()

    def begin() -> None:
        local.value = 7

    assert list(map_in_threads(lambda _: local.value, range(5), threads=2, begin=begin)) == [7] * 5


def test_an_error_is_raised_in_its_turn_and_ends_the_threads():
    threads = threading.active_count()

    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = map_in_threads(work, range(100), threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert threading.active_count() == threads


def test_whoever_stops_reading_ends_the_threads():
    threads = threading.active_count()
    done = []
    results = map_in_threads(done.append, range(100), threads=2)
    next(results)
    results.close()
    assert threading.active_count() == threads and len(done) < 6
