"""SciPy's BLAS beside our threads: each piece of a product runs on the thread that asks for it."""

from contextlib import contextmanager, nullcontext
from functools import cache


@cache
def _thread_pools():
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


@contextmanager
def one_blas_thread(needed):
    """Limits BLAS to one thread for a while, where it is in use and threadpoolctl is there."""
    pools = _thread_pools() if needed else None
    with pools.limit(limits=1, user_api="blas") if pools else nullcontext():
        yield
