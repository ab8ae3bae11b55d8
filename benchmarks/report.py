"""Tables and pictures from what compare.py measured."""

import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import matplotlib
import rivals
from matplotlib.figure import Figure

OWN = "crossent"
OTHER_WAYS = {"crossent, new array", "crossent, in place"}
MACHINE = {"copy", "read"}
LOSS_ONLY = ", loss only"
MARKS = "<!-- compare.py: begin -->", "<!-- compare.py: end -->"
LARGE = 2**20  # bytes of logits from which the speed of memory counts

# Small files that do not change unless their content does; white also on a dark page.
matplotlib.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "crossent",
        "font.size": 9,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "font.family": "sans-serif",
    }
)
COLOURS = dict(
    zip(
        [OWN, *rivals.RIVALS["softmax"]],
        [
            "black",
            "tab:blue",
            "tab:cyan",
            "tab:red",
            "tab:pink",
            "tab:green",
            "tab:orange",
            "tab:purple",
        ],
        strict=False,
    )
)


# ---------------------------------------------------------------- the machine


def processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def thread_counts():
    """1, 2, 4, ... and all processors."""
    counts, n = [], processors()
    while not counts or 2 * counts[-1] < n:
        counts.append(2 * counts[-1] if counts else 1)
    return counts if n in counts else [*counts, n]


def machine():
    import crossent

    versions = {"crossent": crossent.__version__, "Python": platform.python_version()}
    missing = []
    for package in rivals.PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            missing.append(package)
    return {
        "date": date.today().isoformat(),
        "processor": processor_name(),
        "processors": processors(),
        "isa": crossent.isa(),
        "versions": versions,
        "not installed": missing,
    }


def processor_name():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def described(stored):
    versions = ", ".join(f"{name} {text}" for name, text in stored["versions"].items())
    words = (
        f"{stored['processor']}, processors: {stored['processors']}, {stored['isa']}; "
        f"{versions}; {stored['date']}; medians of {stored['rounds']} interleaved rounds."
    )
    absent = {name: why for result in stored["results"] for name, why in result["left out"].items()}
    if absent:
        words += f" Not installed, left out: {', '.join(absent)}."
    if stored["quick"]:
        words += " A quick run: no torch.compile, no rows beyond the cache."
    return words


# ---------------------------------------------------------------- figures


def medians(result):
    return {name: median(times) for name, times in result["times"].items()}


def pick(stored, group, **wanted):
    wanted["group"] = group
    return [r for r in stored["results"] if all(r[key] == wanted[key] for key in wanted)]


def title(result):
    return f"{result['loss']} {' x '.join(map(str, result['shape']))}"


def competitors(names):
    return [
        n for n in names if n != OWN and n not in OTHER_WAYS | MACHINE and not n.endswith(LOSS_ONLY)
    ]


def figure_of(value):
    """Three digits."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.3g}"


def limits(result):
    """Time the machine needs for the bytes of (loss and gradient, the loss alone)."""
    times = medians(result)
    arrays = 1 if result["loss"] == "softmax" else 2  # targets of sigmoid are as large
    return times["copy"] * (arrays + 1) / 2, times["read"] * arrays


# ---------------------------------------------------------------- tables


def markdown(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def speed_table(results, shown=OTHER_WAYS):
    """Microseconds of loss and gradient, a row for each case; `shown`: other ways to call us."""
    names = list(dict.fromkeys(n for r in results for n in r["times"]))
    others = competitors(names)
    ways = [n for n in names if n in shown]
    rows = []
    for result in results:
        times = medians(result)
        best = min((n for n in others if n in times), key=times.get, default=None)
        cells = [figure_of(times[n] * 1e6) if n in times else "" for n in [OWN, *ways, *others]]
        rows.append(
            [
                title(result),
                f"**{cells[0]}**",
                *cells[1:],
                figure_of(times["copy"] * 1e6) if "copy" in times else "",
                f"{times[best] / times[OWN]:.1f} x ({best})" if best else "",
            ]
        )
    head = ["case", OWN, *(n.split(", ")[1] for n in ways), *others, "copy", "against the best"]
    return markdown(head, rows)


def limit_table(results):
    """Large cases: how much of the time memory alone would take."""
    rows = []
    for result in results:
        times, (both, loss) = medians(result), limits(result)
        bytes_each = logits_bytes(result)
        rows.append(
            [
                f"{title(result)} {result['dtype']}",
                str(result["threads"]),
                f"{2 * bytes_each / times['copy'] / 1e9:.1f}",
                f"{bytes_each / times['read'] / 1e9:.1f}",
                *(
                    figure_of(times[name] / bound)
                    for name, bound in (
                        (OWN, both),
                        ("crossent, in place", both),
                        (OWN + LOSS_ONLY, loss),
                    )
                ),
            ]
        )
    head = [
        "case",
        "threads",
        "copy, GB/s",
        "read, GB/s",
        "loss and gradient",
        "in place",
        "loss alone",
    ]
    return markdown(head, rows)


def logits_bytes(result):
    count = 1
    for n in result["shape"]:
        count *= n
    return count * int(result["dtype"][-2:]) // 8


def option_table(results):
    """Time over the floor: the plain call of the same logits, or the copy of the same bytes."""
    names = [n for n in results[0]["moved"] if n != "plain"]
    rows = []
    for result in results:
        times = medians(result)
        for_a_byte = times["copy"] / (2 * logits_bytes(result))
        cells = []
        for name in names:
            floor = max(times["plain"], result["moved"][name] * for_a_byte)
            cells.append(f"{times[name] / floor:.2f}")
        rows.append([title(result), str(result["threads"]), f"{times['plain'] * 1e6:,.0f}", *cells])
    return markdown(["case", "threads", "plain, us", *names], rows)


def dtypes(stored):
    return list(dict.fromkeys(r["dtype"] for r in stored["results"]))


def threads_of(stored):
    return sorted({r["threads"] for r in stored["results"]})


def tables(stored):
    parts = ["# crossent beside others\n", described(stored) + "\n"]
    for threads in threads_of(stored):
        for dtype in dtypes(stored):
            for group, words in (("table", ""), ("tiny", ": calls"), ("classes", ": classes")):
                results = pick(stored, group, threads=threads, dtype=dtype)
                if results:
                    parts += [
                        f"## {dtype}, threads: {threads}{words}\n",
                        "Microseconds for loss and gradient.\n",
                        speed_table(results),
                    ]
    large = [r for r in pick(stored, "table") if logits_bytes(r) >= LARGE]
    if large:
        parts += [
            "## Memory\n",
            "Time over what the machine takes to copy (loss and gradient) or "
            "read (loss alone) the same bytes.\n",
            limit_table(large),
        ]
    for dtype in dtypes(stored):
        results = pick(stored, "options", dtype=dtype)
        if results:
            parts += [
                f"## Options and layouts, {dtype}\n",
                "Time over the floor: the plain call "
                "with as many exponentials, or copying as many bytes where that takes longer."
                "\n",
                option_table(results),
            ]
    return "\n".join(parts)


# ---------------------------------------------------------------- pictures


def save(figure, path):
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight", facecolor="white")


def panels(count, width=4.2, height=3.2):
    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def line(axes, name, x, y):
    own = name == OWN
    axes.plot(
        x,
        y,
        "o-",
        label=name,
        color=COLOURS.get(name, "grey"),
        ms=4 if own else 3,
        lw=2.5 if own else 1.2,
        zorder=3 if own else 2,
    )


def draw_classes(stored, out):
    """Time for an element against the class count."""
    found = [(d, r) for d in dtypes(stored) if (r := pick(stored, "classes", dtype=d, threads=1))]
    if not found:
        return
    figure, all_axes = panels(len(found))
    for axes, (dtype, results) in zip(all_axes, found, strict=True):
        counts = [r["shape"][1] for r in results]
        for name in [OWN, *competitors(results[0]["times"])]:
            nanoseconds = [
                medians(r)[name] / (r["shape"][0] * r["shape"][1]) * 1e9 for r in results
            ]
            line(axes, name, counts, nanoseconds)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="classes",
            title=f"{dtype}, one thread",
            ylabel="loss and gradient, ns per logit",
        )
    all_axes[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    save(figure, out / "classes.svg")


def draw_memory(stored, out):
    """Share of the speed of memory on the largest softmax case."""
    found = [
        r
        for r in pick(stored, "table", loss="softmax")
        if logits_bytes(r) >= LARGE and r["dtype"] == dtypes(stored)[0]
    ]
    if not found:
        return
    largest = max(found, key=logits_bytes)["shape"]
    found = [r for r in found if r["shape"] == largest]
    figure, all_axes = panels(2)
    for axes, ending, limit, words in (
        (all_axes[0], "", 0, "loss and gradient, of copying"),
        (all_axes[1], LOSS_ONLY, 1, "the loss alone, of reading"),
    ):
        own = [OWN, "crossent, in place"] if not ending else [OWN]
        names = own + competitors(found[0]["times"])
        for i, result in enumerate(found):
            times = medians(result)
            share = [100 * limits(result)[limit] / times[name + ending] for name in names]
            height = 0.8 / len(found)
            axes.barh(
                [k + i * height for k in range(len(names))],
                share,
                height,
                label=f"threads: {result['threads']}",
            )
        axes.set_yticks([k + 0.4 - height / 2 for k in range(len(names))], names)
        axes.axvline(100, color="black", lw=1)
        axes.invert_yaxis()
        axes.set(xlabel=f"{words}, %", title=f"{title(result)} {result['dtype']}")
    all_axes[0].legend(loc="lower right")
    save(figure, out / "memory.svg")


def draw_calls(stored, out):
    """What a tiny call costs."""
    results = pick(stored, "tiny", dtype=dtypes(stored)[0], threads=1)
    if not results:
        return
    figure, (axes,) = panels(1, 7)
    names = [OWN, *competitors(results[0]["times"])]
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        axes.bar(
            [k + i * width for k in range(len(results))],
            [medians(r).get(name, 0) * 1e6 for r in results],
            width,
            label=name,
            color=COLOURS.get(name, "grey"),
        )
    axes.set_xticks(
        [k + 0.4 - width / 2 for k in range(len(results))],
        [title(r).replace(" ", "\n", 1) for r in results],
    )
    axes.set(
        yscale="log",
        ylabel="loss and gradient, microseconds a call",
        title=f"{results[0]['dtype']}, one thread",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    save(figure, out / "calls.svg")


def draw_threads(stored, out):
    """Speed with n threads over the speed with one."""
    counts, dtype = threads_of(stored), dtypes(stored)[0]
    ones = [r for r in pick(stored, "table", dtype=dtype, threads=1) if logits_bytes(r) >= 2**17]
    if not ones or len(counts) < 2:
        return
    figure, all_axes = panels(len(ones), 2.6, 3)
    for axes, one in zip(all_axes, ones, strict=True):
        same = [
            pick(stored, "table", dtype=dtype, threads=n, shape=one["shape"])[0] for n in counts
        ]
        for name in [OWN, *competitors(one["times"])]:
            line(axes, name, counts, [medians(one)[name] / medians(r)[name] for r in same])
        axes.plot(counts, counts, ":", color="grey")
        axes.set(xlabel="threads", title=title(one), xticks=counts, ylim=(0, None))
    all_axes[0].set_ylabel(f"speed over that of one thread, {dtype}")
    all_axes[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    save(figure, out / "threads.svg")


# ---------------------------------------------------------------- all of it


def write(stored, out, update=None):
    (out / "compare.md").write_text(tables(stored))
    for draw in (draw_classes, draw_memory, draw_calls, draw_threads):
        draw(stored, out)
    if update:
        put_between_marks(update, excerpt(stored, Path(os.path.relpath(out, update.parent))))
    print(f"compare.md and pictures are in {out}")


def excerpt(stored, where):
    """The part for a README: float32 on one thread."""
    results = pick(stored, "table", dtype=dtypes(stored)[0], threads=1)
    picture = (where / "classes.svg").as_posix()
    return "\n".join(
        [
            f"![time per logit against the number of classes]({picture})\n",
            f"Microseconds for loss and gradient, {dtypes(stored)[0]}, one thread; `copy` copies "
            "an array of the logits' size.\n",
            speed_table(results, ()),
            described(stored),
        ]
    )


def put_between_marks(path, text):
    before, found, rest = path.read_text().partition(MARKS[0])
    _, ended, after = rest.partition(MARKS[1])
    if not (found and ended):
        raise SystemExit(f"{path} has no lines {MARKS[0]!r} and {MARKS[1]!r} to write between")
    path.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")
