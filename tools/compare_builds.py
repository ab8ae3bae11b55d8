"""Compares two builds of crossent: the bits of their results and the instructions they take.

    python tools/compare_builds.py OLD NEW            what differs, and by how many ulp
    python tools/compare_builds.py OLD NEW --all      every case that differs, not the worst of each
    python tools/compare_builds.py OLD NEW --isa avx2     on one instruction set alone

OLD and NEW name the parts of a build, separated by commas; what either build lacks is left out:

    a virtual environment, or a Python interpreter, with crossent installed
    a directory with the C programs test_kernels and count_instructions
    a source tree, which stands for `build/native` or `build` in it

Compared are, on every instruction set that both builds have,

    the number that `test_kernels --digest` prints;
    losses, gradients, second derivatives and statistics of fixed inputs: each loss with each option
        alone and with every pair of options, in all dtypes and several layouts; the functions; the
        linear loss; parameters and history of short training runs;

and the instructions of each case of benchmarks/instructions.c. A difference is given in units of
the last place of the entry itself, and of the largest entry of its array: a gradient entry that is
a difference of nearly equal numbers may change by many of the first and none of the second. A call
that is refused counts as equal where both builds raise the same exception. Ends with 1 where bits
differ or an instruction count grew by more than 1 %.
"""

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CASES = Path(__file__).with_name("build_cases.py")
COUNTS_MAY_GROW = 0.01


def distance(a, b):
    """The largest difference, in ulp of the entry and in ulp of the largest entry."""
    if isinstance(a, str) or isinstance(b, str) or (a.dtype, a.shape) != (b.dtype, b.shape):
        return np.inf, np.inf
    if a.dtype.kind in "biuOSU":
        return (0, 0) if np.array_equal(a, b) else (np.inf, np.inf)
    kind, x, y = ml_dtypes.finfo(a.dtype), a.astype(np.float64), b.astype(np.float64)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    if not np.isfinite(np.where(same, 0, x) + np.where(same, 0, y)).all():
        return np.inf, np.inf
    gap = np.where(same, 0, np.abs(np.where(same, 0, x) - np.where(same, 0, y)))
    size = np.where(np.isfinite(x), np.maximum(np.abs(x), float(kind.tiny)), 1)
    unit = float(kind.eps) * np.exp2(np.floor(np.log2(size)))
    return (gap / unit).max(initial=0), (gap / unit.max(initial=float(kind.tiny))).max(initial=0)


def compare_results(old, new, everything):
    """Prints what differs; the number of cases that do."""
    worst, count = {}, 0
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            print(f"    only in {'OLD' if name in old else 'NEW'}: {name}")
            count += 1
            continue
        (kind, a), (_, b) = old[name], new[name]
        differ = [
            key
            for key in a.keys() | b.keys()
            if key not in a
            or key not in b
            or (a[key] != b[key] if isinstance(a[key], str) else None)
            or (not isinstance(a[key], str) and np.asarray(b[key]).tobytes() != a[key].tobytes())
        ]
        if differ:
            count += 1
            far = [distance(a.get(key, "none"), b.get(key, "none")) for key in differ]
            far = max(f[0] for f in far), max(f[1] for f in far)
            worst.setdefault(kind, []).append((far, name))
            if everything:
                print(f"    {far[0]:9.3g} {far[1]:9.3g} ulp  {name}: {', '.join(map(str, differ))}")
    if worst and not everything:
        print("    cases   ulp of entry, of the largest   kind; the worst case")
    for kind, cases in sorted(worst.items()) if not everything else ():
        far, name = max(cases)
        print(
            f"    {len(cases):5}  {far[0]:9.3g} {max(c[0][1] for c in cases):9.3g}   {kind}; {name}"
        )
    return count


def find(parts):
    """(interpreter, directory of C programs) of a build; None for what it lacks."""
    python = programs = None
    for part in map(Path, parts.split(",")):
        folders = part, part / "build/native", part / "build"
        if (part / "bin/python").exists():
            python = part / "bin/python"
        elif part.is_file():
            python = part
        elif built := [folder for folder in folders if (folder / "test_kernels").exists()]:
            programs = built[0].resolve()
        else:
            sys.exit(f"{part}: neither an environment, an interpreter nor built C programs")
    return python, programs


def run(command, **environment):
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    ).stdout


def compare_python(old, new, everything, only):
    ask = "import crossent; print(*crossent.available_isas())"
    sets = [run([python, "-P", "-c", ask]).split() for python in (old, new)]
    count = 0
    with tempfile.TemporaryDirectory() as directory:
        for isa in (name for name in sets[0] if name in sets[1] and only in (None, name)):
            results = []
            for side, python in (("old", old), ("new", new)):
                path = Path(directory, side)
                run([python, "-P", CASES, path], CROSSENT_ISA=isa)
                with path.open("rb") as file:
                    results.append(pickle.load(file))
            print(f"{isa}: {len(results[0])} cases", flush=True)
            differ = compare_results(*results, everything)
            print(f"    {differ} differ", flush=True)
            count += differ
    return count


def compare_programs(old, new):
    count, names = 0, ("scalar", "sse2", "avx2", "avx512", "neon")
    for isa in names:
        digests = []
        for folder in (old, new):
            ran = subprocess.run(
                [folder / "test_kernels", "--digest"], env={**os.environ, "CROSSENT_ISA": isa},
                capture_output=True, text=True,
            )  # fmt: skip
            digests.append(ran.stdout.strip() if ran.returncode == 0 else None)
        if None not in digests:
            print(f"digest {isa}: {' -> '.join(digests)}", flush=True)
            count += digests[0] != digests[1]
    if (old / "count_instructions").exists() and (new / "count_instructions").exists():
        sys.path.insert(0, str(ROOT / "benchmarks"))
        import instructions

        before, after = (instructions.count(str(f / "count_instructions")) for f in (old, new))
        for name in (n for n in before if n in after):
            change = after[name] / before[name] - 1
            print(f"{before[name]:>10} {after[name]:>10} {change:+7.2%} instructions, {name}")
            count += change > COUNTS_MAY_GROW
    return count


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("builds", nargs=2, metavar=("OLD", "NEW"))
    parser.add_argument("--all", action="store_true", help="name every case that differs")
    parser.add_argument("--isa", help="compare Python results on this instruction set alone")
    options = parser.parse_args()
    (old, old_c), (new, new_c) = map(find, options.builds)
    count = 0
    if old_c and new_c:
        count += compare_programs(old_c, new_c)
    if old and new:
        count += compare_python(old, new, options.all, options.isa)
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
