"""Work done by threads while its results are read in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_threads(
    work: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    threads: int,
    begin: Callable[[], object] | None = None,
) -> Iterator[_Result]:
    """Compute `map(work, items)`, in order, by threads that run only a little ahead of the reader.

    When the reader stops, items that are not begun are not computed.

    Args:
        work: called in the threads; its errors are raised here, in the order of the items.
        items: read in the reader's thread.
        threads: number of threads.
        begin: called first in each thread.
    """
    pool = ThreadPoolExecutor(threads, initializer=begin)
    try:
        ahead: deque[Future[_Result]] = deque()
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > threads + 1:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
