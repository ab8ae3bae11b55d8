"""SciPy's BLAS beside our threads: each piece of a product runs on the thread that asks for it."""

from contextlib import contextmanager
from functools import cache
from threading import Lock


@cache
def _thread_pools():
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


class _Limit:
    """One thread for BLAS as long as any call needs it. The first call to need it notes how many
    threads there were, the last to end puts them back: calls of several threads overlap."""

    def __init__(self):
        self.lock, self.calls, self.limiter = Lock(), 0, None

    def begin(self, pools):
        with self.lock:
            if self.calls == 0:
                self.limiter = pools.limit(limits=1, user_api="blas")
            self.calls += 1

    def end(self):
        with self.lock:
            self.calls -= 1
            if self.calls == 0:
                self.limiter.restore_original_limits()
                self.limiter = None


_limit = _Limit()


@contextmanager
def one_blas_thread(needed):
    """Limits BLAS to one thread for a while, where it is in use and threadpoolctl is there."""
    pools = _thread_pools() if needed else None
    if pools is None:
        yield
        return
    _limit.begin(pools)
    try:
        yield
    finally:
        _limit.end()
