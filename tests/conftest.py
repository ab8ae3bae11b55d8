"""What every test may ask for: an instruction set, a dtype, random numbers."""

import numpy as np
import pytest

import crossent


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=0, help="seed of all random inputs (default 0)")


@pytest.fixture
def rng(request):
    """The same numbers in every test and every run, unless --seed says otherwise."""
    return np.random.default_rng(request.config.getoption("--seed"))


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=crossent.available_isas())
def isa(request):
    """Runs the test on each instruction set, and proves at its end that this one was in use."""
    before = crossent.isa()
    crossent._core._use_isa(request.param)
    yield request.param
    ran = crossent.isa()
    crossent._core._use_isa(before)
    assert ran == request.param


@pytest.fixture
def num_threads():
    """`crossent.set_num_threads`, undone after the test."""
    before = crossent.get_num_threads()
    yield crossent.set_num_threads
    crossent.set_num_threads(before)
