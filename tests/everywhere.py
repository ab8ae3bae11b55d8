"""`everywhere.f(...)` is `crossent.f(...)` on every instruction set, which have to give one result.

A test judges the value of the instruction set in use, the best one here. The call is repeated on
each other set, with the same arguments, and has to return the same bytes, or to raise the same
exception: a set that is wrong cannot agree with the one that is judged. `call` does so with any
function, such as a method of a loss.
"""

import functools

import numpy as np

import crossent

SETS = crossent.available_isas()


def attempt(function, arguments, options):
    """(result, exception), of which one is None."""
    try:
        return function(*arguments, **options), None
    except Exception as error:
        return None, error


def bits(array):
    """Its bytes, with one NaN for all: the sign of a NaN is the processor's choice."""
    return np.where(np.isnan(array), array.dtype.type(np.nan), array).tobytes()


def same(a, b):
    """Whether two results have the same types, shapes and bits, whatever they are nested in."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (np.ndarray, np.generic, float)):
        a, b = np.asarray(a), np.asarray(b)
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return False
        return a.tobytes() == b.tobytes() or bits(a) == bits(b)
    return a == b


def call(function, *arguments, **options):
    assert options.get("out") is None, "a call that writes to its arguments cannot be repeated"
    home = crossent.isa()
    result, error = attempt(function, arguments, options)
    try:
        for name in SETS:
            if name == home:
                continue
            crossent._core._use_isa(name)
            other, fault = attempt(function, arguments, options)
            assert crossent.isa() == name
            if error or fault:
                assert (type(fault), str(fault)) == (type(error), str(error)), f"on {name}"
            else:
                assert same(other, result), f"{name} gave {other}; {home} gave {result}"
    finally:
        crossent._core._use_isa(home)
    if error:
        raise error
    return result


def __getattr__(name):
    return functools.partial(call, getattr(crossent, name))
