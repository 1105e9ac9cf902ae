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
    """`map(work, items)`, in order, by threads that run only a little ahead of the reader.

    Whoever stops reading stops them: what has not been begun is not done.

    Args:
        work: called in the threads; what it raises is raised here, in its turn.
        items: read in the reader's thread.
        threads: how many.
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
