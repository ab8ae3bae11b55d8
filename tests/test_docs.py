"""Every public name is documented, and its examples do what they say."""

import doctest
import inspect

import numpy as np
import pytest

import crossent


def documented():
    """Public names and the methods of public classes, with their docstrings."""
    yield "crossent", crossent.__doc__
    for name in crossent.__all__:
        value = getattr(crossent, name)
        yield name, value.__doc__
        for method in dir(value) if inspect.isclass(value) else ():
            if not method.startswith("_"):
                yield f"{name}.{method}", getattr(value, method).__doc__


DOCSTRINGS = dict(documented())


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_examples_in_docstrings(name):
    assert DOCSTRINGS[name]
    names = {"np": np, "crossent": crossent}
    examples = doctest.DocTestParser().get_doctest(DOCSTRINGS[name], names, name, None, 0)
    report = []
    failed = doctest.DocTestRunner().run(examples, out=report.append).failed
    assert not failed, "".join(report)


def test_all_names_exist_and_are_sorted():
    assert all(hasattr(crossent, name) for name in crossent.__all__)
    assert list(crossent.__all__) == sorted(crossent.__all__)
