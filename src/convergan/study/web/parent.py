"""Worker processes that do not outlive the process that started them."""

import multiprocessing
import os
import signal
import threading


def end_with_parent() -> None:
    """End this process when its parent is gone, however that ended; a first process has no parent.

    Otherwise the workers of a killed server would keep running on its port, with nobody to stop them.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True, name="end with parent").start()
