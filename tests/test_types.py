"""What an editor and a type checker see: signatures, stubs, the page of options."""

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import crossent
from crossent._options import LINEAR, TABLES

ROOT = Path(__file__).parents[1]
TYPES = ROOT / "tests" / "types"


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(callable, kind=inspect.Parameter.KEYWORD_ONLY):
    return [p.name for p in inspect.signature(callable).parameters.values() if p.kind == kind]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.function)
def test_signatures_list_every_option(table):
    function = getattr(crossent, table.function)
    fused = getattr(crossent, f"{table.function}_value_and_grad")
    cls = getattr(crossent, table.owner)
    assert names(function) == table.names
    assert names(fused) == ["out", *table.names]
    assert names(cls) == list(table.of_class)
    for made in (cls.forward, cls(), cls().forward):
        assert names(made) == list(table.of_calls)
    assert names(cls.value_and_grad) == ["out", *table.of_calls]
    for signed in (function, cls):
        for name, p in inspect.signature(signed).parameters.items():
            if name in table.defaults:
                assert p.default == table.defaults[name]
    data = names(function, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    assert data == [table.data, "target"]
    assert list(inspect.signature(cls().value_and_grad).parameters)[:2] == data


def test_signatures_of_linear_losses():
    for f in (crossent.linear_cross_entropy, crossent.linear_cross_entropy_value_and_grad):
        assert names(f) == ["bias", "sample_weight", "chunk", *[o.name for o in LINEAR]]


def test_stubs_are_current():
    """Else: python tools/make_stubs.py"""
    pytest.importorskip("sklearn")
    for path, text in tool("make_stubs").stubs().items():
        assert (ROOT / "src" / "crossent" / path).read_text() == text


def test_the_page_of_options_is_current():
    """Else: python tools/make_option_table.py"""
    maker = tool("make_option_table")
    assert maker.PAGE.read_text() == maker.written(maker.PAGE.read_text())


def run(module, *arguments):
    pytest.importorskip(module)
    found = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True, text=True, cwd=TYPES,
    )  # fmt: skip
    return found.returncode, found.stdout + found.stderr


def expected():
    """The lines of wrong calls."""
    lines = (TYPES / "wrong_calls.py").read_text().splitlines()
    return {i for i, line in enumerate(lines, 1) if "# wrong:" in line}


def test_mypy_accepts_right_calls(tmp_path):
    code, text = run("mypy", "--strict", "--cache-dir", tmp_path, "right_calls.py")
    assert code == 0, text


def test_mypy_refuses_wrong_calls(tmp_path):
    _, text = run("mypy", "--strict", "--cache-dir", tmp_path, "wrong_calls.py")
    assert {int(n) for n in re.findall(r"^wrong_calls\.py:(\d+): error", text, re.M)} == expected()


# What stubs leave out: private modules, what Cython and scikit-learn add to classes, constants of
# the loop. `__init__` of a compiled class shows no arguments; `__signature__`, tested above, does.
NOT_IN_STUBS = r"""
crossent\._.*
crossent\.streaming.*
crossent\.train\.(?!__).*\.(moments|momentum|nesterov|beta1|beta2|epsilon|weight_decay)
crossent\.train\.(binding|data|fit|history|layers|network|optimizers|schedules|storage).*
crossent\.\w+CrossEntropy
.*\.__(init|reduce_cython|setstate_cython|signature|post_init)__
.*\.set_\w+_request
"""


def test_stubs_fit_what_runs(tmp_path):
    pytest.importorskip("sklearn")
    (tmp_path / "allowed").write_text(NOT_IN_STUBS)
    settings = "[mypy]\nignore_missing_imports = True\n[mypy-crossent.*]\nignore_errors = True\n"
    (tmp_path / "mypy.ini").write_text(settings)
    code, text = run(
        "mypy.stubtest", "crossent", "--allowlist", tmp_path / "allowed",
        "--ignore-unused-allowlist", "--mypy-config-file", tmp_path / "mypy.ini", "--concise",
    )  # fmt: skip
    assert code == 0, text


def test_pyright_agrees():
    code, text = run("pyright", "right_calls.py")
    if "npm" in text or "node" in text:
        pytest.skip("pyright cannot fetch what it runs on")
    assert code == 0, text
    _, text = run("pyright", "wrong_calls.py")
    assert {int(n) for n in re.findall(r"wrong_calls\.py:(\d+):\d+ - error", text)} == expected()
