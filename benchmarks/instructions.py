"""Counts the instructions of fixed calls on AVX2 under callgrind and holds them against records.

    python benchmarks/instructions.py build/count_instructions            compare
    python benchmarks/instructions.py build/count_instructions --record   replace the records

Times of a shared machine say little; instruction counts repeat. They depend on the compiler, so
instructions.txt holds one section for each family and major version, and another compiler's counts
are shown but not judged. A count that left its record by more than TOLERANCE either way fails:
slower code has to be looked at, faster code recorded. Ends with 77 where it cannot count.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOLERANCE = 0.03
RECORDS = Path(__file__).with_name("instructions.txt")
HEADER = """\
# Instructions of the calls in instructions.c: CROSSENT_ISA=avx2, one thread, under callgrind.
# A section for each compiler; written by `python benchmarks/instructions.py PROGRAM --record`.
"""


def compiler_of(program):
    """Family and version as CMake names them: ("GNU 12", "GNU 12.2.0")."""
    version = subprocess.run([program, "--compiler"], capture_output=True, text=True, check=True)
    version = version.stdout.strip()
    return version.split(".")[0], version


def count(program):
    """Name -> instructions. callgrind writes one file each time `measured` returns."""
    with tempfile.TemporaryDirectory() as directory:
        ran = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                "--toggle-collect=measured",
                "--dump-after=measured",
                f"--callgrind-out-file={directory}/counts",
                program,
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if ran.returncode == 77:
            skip(f"the processor has {ran.stdout.strip()}")
        if ran.returncode:
            sys.exit(f"{program} under valgrind ended with {ran.returncode}:\n{ran.stderr}")
        names = ran.stdout.split("\n")[:-1]
        files = [Path(directory, f"counts.{i + 1}") for i in range(len(names))]
        totals = [re.search(r"^totals: (\d+)", file.read_text(), re.M) for file in files]
    return {name: int(total[1]) for name, total in zip(names, totals, strict=True)}


def read_records():
    """Compiler -> (exact version, {name: instructions})."""
    sections = {}
    for line in RECORDS.read_text().splitlines() if RECORDS.exists() else ():
        if line.startswith("["):
            version = line.strip("[]")
            counts = sections[version.split(".")[0]] = version, {}
        elif line and not line.startswith("#"):
            number, name = line.split(maxsplit=1)
            counts[1][name] = int(number)
    return sections


def write_records(sections):
    text = HEADER
    for version, counts in sorted(sections.values()):
        text += f"\n[{version}]\n"
        text += "".join(f"{number:>9} {name}\n" for name, number in counts.items())
    RECORDS.write_text(text)


def compare(counts, recorded):
    """Prints a line for each case and returns the sentences about those that differ."""
    faults = []
    for name in {**recorded, **counts}:
        if name not in recorded or name not in counts:
            where = "recorded" if name not in recorded else "counted"
            faults.append(f"{name}: not {where}")
            continue
        change = counts[name] / recorded[name] - 1
        print(f"{counts[name]:>9} {change:+7.2%} {name}")
        if abs(change) > TOLERANCE:
            faults.append(
                f"{name}: recorded {recorded[name]:,} instructions, found "
                f"{counts[name]:,} ({change:+.1%}; at most {TOLERANCE:.0%} either way)"
            )
    return faults


def skip(reason, failure=False):
    print(f"INSTRUCTIONS NOT COUNTED: {reason}")
    sys.exit(1 if failure else 77)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="count_instructions, as CMake built it")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        skip("install valgrind", failure=os.environ.get("CI") == "true")
    family, version = compiler_of(options.program)
    counts, sections = count(options.program), read_records()
    if options.record:
        write_records({**sections, family: (version, counts)})
        print(f"{RECORDS.name}: recorded {len(counts)} cases for {version}")
        return
    if family not in sections:
        print("\n".join(f"{number:>9} {name}" for name, number in counts.items()))
        skip(f"no record for {family}, only for {', '.join(sections)}; --record adds one")
    faults = compare(counts, sections[family][1])
    if faults:
        sys.exit(
            "\n".join(
                [
                    f"instruction counts differ from those recorded with {sections[family][0]} "
                    f"(here {version}):",
                    *faults,
                    "look at what changed; if it is meant, record it:",
                    f"    python benchmarks/instructions.py {options.program} --record",
                ]
            )
        )


if __name__ == "__main__":
    main()
