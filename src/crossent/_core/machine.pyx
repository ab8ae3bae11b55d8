"""The machine: instruction sets and threads."""
from crossent.crossent cimport *

import os
import platform

from .. import _check


def available_isas():
    """Names of the instruction sets that this build holds and this machine runs, best first.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> "scalar" in crossent.available_isas()
    True
    """
    names = []
    while crossent_isa_name(len(names)) != NULL:
        names.append(crossent_isa_name(len(names)).decode())
    return tuple(names)


def isa():
    """Name of the instruction set in use; one of `available_isas()`.

    The best available one, unless the environment variable ``CROSSENT_ISA`` named another when
    crossent was imported. Results do not depend on it.

    Returns
    -------
    str

    Examples
    --------
    >>> crossent.isa() in crossent.available_isas()
    True
    """
    return crossent_isa().decode()


def _use_isa(name):
    """Switches to another instruction set; for tests and measurements."""
    if name not in available_isas():
        raise ValueError(f"CROSSENT_ISA is {name!r}; expected one of "
                         f"{', '.join(available_isas())} on this machine")
    crossent_use_isa(name.encode())


def get_num_threads():
    """Number of threads that large calls use; see `set_num_threads`.

    Returns
    -------
    int

    Examples
    --------
    >>> crossent.get_num_threads() >= 1
    True
    """
    return crossent_get_num_threads()


def set_num_threads(n):
    """Sets the number of threads that large calls use.

    Results have the same bits for every number. At import it is the environment variable
    ``CROSSENT_NUM_THREADS``, else what OpenMP proposes (``OMP_NUM_THREADS``, or all processors).

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If `n` is no whole number, or less than 1.

    Examples
    --------
    >>> before = crossent.get_num_threads()
    >>> crossent.set_num_threads(1)
    >>> crossent.get_num_threads()
    1
    >>> crossent.set_num_threads(before)
    """
    crossent_set_num_threads(<int>_check.whole("n", n, 1, 2**31 - 1))


def show_config():
    """Prints versions, instruction sets, threads and compiler; what a report of a fault needs.

    Examples
    --------
    >>> crossent.show_config()  # doctest: +ELLIPSIS
    crossent ...
    """
    import numpy

    from .. import __version__
    print(f"crossent {__version__}, NumPy {numpy.__version__}, Python {platform.python_version()}")
    print(f"machine: {platform.machine()}, {platform.system()}")
    print(f"instruction set: {isa()} (available: {', '.join(available_isas())})")
    print(f"threads: {get_num_threads()} ({crossent_threading().decode()})")
    print(f"compiler: {crossent_compiler().decode()}")


def _read_environment():
    name = os.environ.get("CROSSENT_ISA")
    if name:
        _use_isa(name)
    threads = os.environ.get("CROSSENT_NUM_THREADS")
    if threads:
        if not threads.isdigit() or int(threads) < 1:
            raise ValueError(f"CROSSENT_NUM_THREADS is {threads!r}; expected a whole number of "
                             "threads, at least 1")
        set_num_threads(int(threads))


_read_environment()
