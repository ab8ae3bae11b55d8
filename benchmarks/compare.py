"""crossent beside what a user would pick instead: loss and gradient, in one run.

    python benchmarks/compare.py [--quick] [--only TEXT] [--threads 1 2] [--isa avx2] [--out DIR]

Every candidate's loss and gradient are first held against slow formulas in double. Then all
candidates of a case run in turn, round after round, each round beginning with another one, so that
whatever else the machine does falls on all of them; figures are medians over the rounds. Each
thread count has a process of its own, bound to as many processors; their rounds alternate too. With
one thread it is the time of the processor that counts, with more the time of day. Only the cases of
the table run with more than one. Rivals that are not installed are left out and named.
DIR gets the measurements (compare.json), tables (compare.md) and pictures (*.svg).
"""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time, sleep

import cases
import numpy as np
import report
import rivals
from tqdm import tqdm

# Largest error of a loss, relative, and of a gradient, in units of its largest entry.
TOLERANCE = {"float64": 1e-11, "float32": 2e-5, "float16": 2e-3, "bfloat16": 1e-2}


BEYOND_CACHE = 2**23  # logits; such cases take seconds a round
CLOCKS = process_time, perf_counter  # one thread, several
PAUSE = 0.05  # seconds until the threads of the candidate before sleep, where there are several
WAKING = 3  # calls until threads that slept are awake, which can take some ms


@dataclass(frozen=True)
class Case:
    group: str  # "table", "classes", "tiny" or "options"
    loss: str  # "softmax" or "sigmoid"
    shape: tuple
    dtype: str

    @property
    def name(self):
        return f"{self.group}: {self.loss} {' x '.join(map(str, self.shape))} {self.dtype}"


def all_cases(quick=False):
    """`quick`: no rows beyond the cache, every third class count, one type where one will do."""
    for dtype in cases.DTYPES:
        for shape in cases.SOFTMAX:
            if not (quick and np.prod(shape) > BEYOND_CACHE):
                yield Case("table", "softmax", shape, dtype)
        for n in cases.SIGMOID:
            yield Case("table", "sigmoid", (n,), dtype)
        if quick and dtype != cases.DTYPES[0]:
            continue
        for classes in cases.CLASSES[:: 3 if quick else 1]:
            yield Case("classes", "softmax", (cases.ELEMENTS // classes, classes), dtype)
        for loss, shape in cases.TINY:
            yield Case("tiny", loss, shape, dtype)
        for shape in cases.OPTION_SHAPES:
            yield Case("options", "softmax", shape, dtype)


# ---------------------------------------------------------------- in the process of a thread count

candidates = {}  # name -> (function, calls in a round) of the case that is under way


def limit(threads):
    """Binds the process, before anything that makes threads is imported: JAX has no other limit."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def prepare(case, threads, seconds, compiled):
    """Makes, checks and warms up the candidates; returns what there is to say about them."""
    import crossent

    crossent.set_num_threads(threads)
    candidates.clear()
    notes = {"left out": {}, "moved": {}}
    make = option_candidates if case.group == "options" else rival_candidates
    for name, call in make(case, threads, compiled, notes):  # each has run once, to be checked
        took = min(seconds_of(call) for _ in range(WAKING))
        candidates[name] = call, max(1, int(seconds / max(took, 1e-7)))
    return notes


def seconds_of(call):
    start = perf_counter()
    call()
    return perf_counter() - start


def one_round(number, clock):
    """Seconds of a call of every candidate."""
    times = {}
    order = list(candidates)
    for name in order[number % len(order) :] + order[: number % len(order)]:
        call, repeats = candidates[name]
        if clock is perf_counter:
            sleep(PAUSE)
        for _ in range(max(WAKING, repeats // 10)):
            call()
        start = clock()
        for _ in range(repeats):
            call()
        times[name] = (clock() - start) / repeats
    return {name: times[name] for name in order}


def rival_candidates(case, threads, compiled, notes):
    import crossent

    if case.loss == "softmax":
        z, y = cases.softmax_data(*case.shape, case.dtype)
        xent, expected = crossent.SoftmaxCrossEntropy(), cases.softmax_reference(z, y)
    else:
        z, y = cases.sigmoid_data(*case.shape, case.dtype)
        xent, expected = crossent.SigmoidCrossEntropy(), cases.sigmoid_reference(z, y)
    out = np.empty_like(z)
    found = {"crossent": (lambda: xent.forward(z, y), lambda: xent.value_and_grad(z, y, out=out))}
    for name, make in rivals.RIVALS[case.loss].items():
        if name in rivals.SLOW_TO_PREPARE and not (compiled and case.group == "table"):
            continue
        try:
            found[name] = make(z, y, threads)
        except ImportError as error:
            notes["left out"][name] = str(error)
    for name, (forward, both) in found.items():
        scale = len(z) if name in rivals.GRADIENT_OF_SUM else 1
        check(case, name, both(), expected, scale)
        if case.group == "table" and z.nbytes >= report.LARGE:
            check(case, name, (forward(), None), expected)
            yield name + report.LOSS_ONLY, forward
        yield name, both
    if case.group != "table":
        return
    check(case, "new array", xent.value_and_grad(z, y), expected)
    yield "crossent, new array", lambda: xent.value_and_grad(z, y)
    own = z.copy()
    check(case, "in place", xent.value_and_grad(own, y, out=own), expected)
    yield "crossent, in place", lambda: xent.value_and_grad(own, y, out=own)
    yield from machine_candidates(z, out, threads)


def machine_candidates(source, target, threads):
    """Copying an array like the logits, and reading it."""
    flat, into = source.reshape(-1), target.reshape(-1)
    yield "read", lambda: np.dot(flat, flat)  # the BLAS takes as many threads as it may
    if threads == 1 or flat.size < 2**16:
        yield "copy", lambda: np.copyto(into, flat)
        return
    pool = ThreadPoolExecutor(threads)
    parts = np.array_split(into, threads), np.array_split(flat, threads)
    yield "copy", lambda: list(pool.map(np.copyto, *parts))


def option_candidates(case, threads, compiled, notes):
    for name, option in cases.options(*case.shape, case.dtype).items():
        value, grad = option.call()
        check(case, name, (value, option.view(grad)), option.expected())
        yield name, option.call
        notes["moved"][name] = option.moved
    z, _ = cases.softmax_data(*case.shape, case.dtype)
    yield from machine_candidates(z, np.empty_like(z), threads)


def check(case, name, found, expected, scale=1):
    """Stops the run where loss or gradient (None: not asked for) is wrong."""
    value, grad = found
    tolerance = TOLERANCE.get(name, TOLERANCE[case.dtype])
    if value is not None and not abs(value - expected[0]) <= tolerance * abs(expected[0]):
        raise ValueError(f"{case.name}: the loss of {name} is {value!r}, expected {expected[0]!r}")
    if grad is None:
        return
    wrong = np.abs(np.asarray(grad, np.float64) - expected[1] * scale).max()
    size = np.abs(expected[1]).max() * scale
    if not wrong <= tolerance * size:
        raise ValueError(
            f"{case.name}: a gradient entry of {name} is off by {wrong:.3g}, "
            f"the largest entry being {size:.3g}; expected {tolerance:g} of it"
        )


# ---------------------------------------------------------------- in the process that directs


def start(threads):
    """A process for this thread count. What libraries read at their import is set beforehand."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    worker = ProcessPoolExecutor(1, get_context("spawn"), limit, (threads,))
    worker.submit(os.getpid).result()  # starts it, while the environment is set
    return worker


def measure(chosen, thread_counts, rounds, seconds, compiled):
    """One result for each case and thread count: its times are lists, one number a round."""
    workers = {threads: start(threads) for threads in thread_counts}
    results = []
    progress = tqdm(chosen, unit="case")
    for case in progress:
        progress.set_description(f"{case.name:42}")
        counts = thread_counts if case.group == "table" else thread_counts[:1]
        notes = [workers[n].submit(prepare, case, n, seconds, compiled).result() for n in counts]
        found = [
            [workers[n].submit(one_round, number, CLOCKS[n > 1]).result() for n in counts]
            for number in range(rounds if np.prod(case.shape) <= BEYOND_CACHE else 3)
        ]
        for n, note, times in zip(counts, notes, zip(*found, strict=True), strict=True):
            by_name = {name: [one[name] for one in times] for name in times[0]}
            results.append({**asdict(case), "threads": n, **note, "times": by_name})
    for worker in workers.values():
        worker.shutdown()
    return results


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="fewer cases and rounds, no compiled PyTorch"
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="TEXT",
        help='cases whose name, like "table: softmax 32 x 10 float32", has TEXT',
    )
    parser.add_argument("--threads", type=int, nargs="+", default=report.thread_counts())
    parser.add_argument("--isa", help="the instruction set of crossent (CROSSENT_ISA)")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), metavar="DIR")
    parser.add_argument(
        "--update",
        type=Path,
        metavar="FILE",
        help="put table and picture between the markers of this Markdown file",
    )
    parser.add_argument(
        "--redraw",
        action="store_true",
        help="tables and pictures from DIR/compare.json, nothing is measured",
    )
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    stored = options.out / "compare.json"
    if not options.redraw:
        if options.isa:
            os.environ["CROSSENT_ISA"] = options.isa
        chosen = [case for case in all_cases(options.quick) if options.only in case.name]
        if not chosen:
            sys.exit(
                f"no case has {options.only!r} in its name; they are\n"
                + "\n".join(case.name for case in all_cases())
            )
        rounds, seconds = (5, 0.01) if options.quick else (7, 0.015)
        results = measure(chosen, options.threads, rounds, seconds, not options.quick)
        stored.write_text(
            json.dumps(
                {**report.machine(), "quick": options.quick, "rounds": rounds, "results": results}
            )
        )
    report.write(json.loads(stored.read_text()), options.out, options.update)


if __name__ == "__main__":
    main()
