"""What is public is documented, with every option, and what the documents say is so."""

import doctest
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import crossent
import crossent.train
from crossent import _options

ROOT = Path(__file__).parents[1]
MODULES = [crossent, crossent.train]
try:
    import crossent.sklearn

    MODULES.append(crossent.sklearn)
except ImportError:
    pass

# The options of each loss that belong to its class, under the name of its function.
CLASS_OPTIONS = {table.function: table.defaults for table in _options.TABLES}


def documented():
    """Public names and the methods of public classes, with their docstrings."""
    for module in MODULES:
        yield module.__name__, module.__doc__
        for name in module.__all__:
            value = getattr(module, name)
            whole = f"{module.__name__}.{name}"
            yield whole, value.__doc__
            for method in vars(value) if inspect.isclass(value) else ():
                if not method.startswith("_"):
                    yield f"{whole}.{method}", getattr(value, method).__doc__


DOCSTRINGS = dict(documented())
NAMES = {f"{module.__name__}.{name}" for module in MODULES for name in module.__all__}
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def run_examples(text, name, names):
    examples = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
    report = []
    failed = doctest.DocTestRunner().run(examples, out=report.append, clear_globs=False).failed
    assert not failed, "".join(report)
    names.update(examples.globs)
    return len(examples.examples)


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_docstrings_and_their_examples(name):
    text = DOCSTRINGS[name]
    assert text
    assert not text.startswith(name.rpartition(".")[2] + "("), "no docstring of its own"
    count = run_examples(text, name, {"np": np, "crossent": crossent})
    assert count or name not in NAMES, "expected an example"


def parameters(text):
    """The names under "Parameters" of a docstring."""
    section = re.search(r"Parameters\n-+\n(.*?)(\n\n\w+\n-+\n|\Z)", inspect.cleandoc(text), re.S)
    lines = re.findall(r"^(\w.*)$", section[1], re.M)
    return [name for line in lines for name in line.partition(" : ")[0].split(", ")]


def options_of(function):
    """All options of a loss: those of its class, and those that a call of it does not refuse."""
    call = getattr(crossent, function)
    found = dict.fromkeys(CLASS_OPTIONS[function])
    for name in {name for table in _options.TABLES for name in table.of_calls}:
        try:
            call(np.full((1, 2), 0.5), np.full((1, 2), 0.5), **{name: None})
            call(np.full((1, 2), 0.5), np.full((1, 2), 0.5), **{name: np.ones((1, 2), bool)})
        except TypeError as error:
            if "is not an option of" in str(error):
                continue
        except ValueError:
            pass
        found[name] = None
    return set(found)


@pytest.mark.parametrize("function", CLASS_OPTIONS)
def test_every_option_is_documented(function):
    """In both functions of a loss, and in its class; none that does not exist."""
    data = parameters(getattr(crossent, function).__doc__)[:2]
    options = options_of(function)
    for name, more in ((function, set()), (f"{function}_value_and_grad", {"out"})):
        found = parameters(getattr(crossent, name).__doc__)
        assert found[:2] == data
        assert len(found) == len(set(found))
        assert set(found[2:]) == options | more
    cls = getattr(crossent, "".join(map(str.capitalize, function.split("_"))))
    assert set(parameters(cls.__doc__)) == set(CLASS_OPTIONS[function])
    for name in options - set(CLASS_OPTIONS[function]):
        assert f"`{name}`" in cls.__doc__


@pytest.mark.parametrize("function", CLASS_OPTIONS)
def test_defaults_are_those_documented(function):
    text = inspect.cleandoc(getattr(crossent, function).__doc__)
    for name, default in CLASS_OPTIONS[function].items():
        line = re.search(rf"^{name} : (.*)$", text, re.M)
        if line is None:  # named in a list of options that are as for another loss
            continue
        if default is None:
            assert re.search("optional|default None|default `get_num_threads", line[1]), line[0]
        elif isinstance(default, str):
            assert f'default "{default}"' in line[1], line[0]
        else:
            assert f"default {default:g}" in line[1] or f"default {default}" in line[1], line[0]


@pytest.mark.parametrize("option", sorted(inspect.signature(crossent.train.Network.fit).parameters))
def test_every_option_of_fit_is_documented(option):
    assert option in [*parameters(crossent.train.Network.fit.__doc__), "self"]


def test_all_names_are_sorted():
    assert list(crossent.__all__) == sorted(crossent.__all__)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_code_in_documents_runs(path, tmp_path, monkeypatch):
    """All blocks of one document, one after another; `X`, `y` and the like are some data."""
    monkeypatch.chdir(tmp_path)  # where examples leave files
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((256, 784), dtype=np.float32), rng.integers(0, 10, 256)
    names = {"np": np, "X": X, "y": y, "Xv": X[:64], "yv": y[:64]}
    for block in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.M | re.S):
        if ">>> " in block:
            run_examples(block, path.name, names)
        else:
            exec(compile(block, path.name, "exec"), names)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_files_in_documents_exist(path):
    text = path.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (path.parent / link).exists() or link.startswith("http"), link
    for name in re.findall(r"`((?:csrc|src|tests|docs|examples|benchmarks|tools)/[\w./*]+)`", text):
        assert list(ROOT.glob(name.rstrip("/"))), name


def test_every_public_name_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    for name in crossent.__all__:
        assert re.search(rf"\b{name}\b", text), name


def test_every_option_is_in_the_page_of_options():
    text = (ROOT / "docs/options.md").read_text()
    for function in CLASS_OPTIONS:
        for name in options_of(function):
            assert re.search(rf"\b{name}\b", text), name


KINDS = "c|h|py|pyx|pxi|pxd|md"  # of our files; a name ends there, and is no call or attribute
FILE_NAME = re.compile(
    r"(?<![\w./<>}*-])((?:[\w-]+/)*[\w-]+(?:\.inc)?\.(?:KINDS))\b(?![\w(./-])".replace(
        "KINDS", KINDS
    )
)
FOLDERS = ("csrc", "src", "tests", "tools", "benchmarks", "docs", ".ci")
TEXTS = [
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.is_file()),
    *(path for path in sorted(ROOT.glob("*")) if path.is_file()),
]
SYSTEM_HEADERS = {"stdint.h", "numpy/arrayobject.h"}


def files_named(path):
    """Names of files in a text; of C and C-like code only in comments: a member is no file."""
    text = path.read_text()
    if path.suffix in (".c", ".h"):
        text = "\n".join(re.findall(r"/\*.*?\*/", text, re.S))
    found = set(FILE_NAME.findall(text)) - SYSTEM_HEADERS
    return {name for name in found if not name.startswith("build/")}


def test_files_named_in_code_and_documents_exist():
    """By their names, or by a path's last parts: a file that was moved or removed is found here."""
    ours = {f"/{path.relative_to(ROOT)}" for path in TEXTS}
    ours |= {f"/{path.relative_to(ROOT)}" for path in ROOT.glob("examples/*")}
    stale = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in TEXTS
        if re.search(rf"\.(?:{KINDS})$", path.name) or path.name in ("Makefile", "CMakeLists.txt")
        for name in files_named(path)
        if not any(known.endswith(f"/{name}") for known in ours)
    }
    assert not stale
