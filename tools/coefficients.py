"""Minimax polynomials for exp and log: prints csrc/math/coefficients.h, or checks it with --check.

Every polynomial P approximates a power series g, and the relative error of the function wanted is
w(x) (P(x) - g(x)) with a weight w that vanishes at 0.  P is found by the Remez exchange on a fine
Chebyshev grid.  Its coefficients are rounded from the lowest degree up, and after each rounding
the free ones are refitted, so that they absorb the rounding error of the fixed ones.
"""

import argparse
import sys
import textwrap
from collections import namedtuple
from functools import cache
from itertools import count, pairwise
from pathlib import Path

from mpmath import cos, exp, factorial, log, log1p, lu_solve, matrix, mp, mpf, pi, quad

HEADER = Path(__file__).resolve().parent.parent / "csrc" / "coefficients.h"
WIDTH = 100
mp.prec = 192

Format = namedtuple("Format", "ctype suffix literal bits exponent_bits log_bound exp_degree")
FORMATS = (
    Format("float", "f32", "f", 24, 8, mpf("-27.5"), 6),
    Format("double", "f64", "", 53, 11, mpf("-57"), 11),
)

# series(k) is the coefficient of (x - centre)^k in g.  |series(k)| decreases with k, and
# h = |x - centre| < 1 on [low, high], so the terms from k = n on add up to at most
# |series(n)| h^n / (1 - h).  |weight(x)| increases with |x| on either side of 0.
Problem = namedtuple("Problem", "name low high centre series weight about")

EXP_MAX = log(2) / 2 * mpf("1.04")
WIDEN = mpf("1e-3")
HALF = mpf(1) / 2


@cache
def log1p_about_half(k):
    """Coefficient of (x - 1/2)^k in (log(1+x) - x) / x^2 = -int_0^1 (1 - s) / (1 + s x)^2 ds."""
    size = quad(lambda s: (1 - s) * s**k / (1 + s / 2) ** (k + 2), [0, HALF, 1])
    return (-1) ** (k + 1) * (k + 1) * size


EXP = Problem(
    "EXP",
    -EXP_MAX,
    EXP_MAX,
    mpf(0),
    lambda k: 1 / factorial(k + 2),
    lambda r: r**2 * exp(-r),
    "e^r ~ 1 + r + r^2 P(r) for |r| <= 1.04 ln(2)/2.",
)
LOG1P = Problem(
    "LOG1P",
    mpf(-1) / 4 - WIDEN,
    HALF + WIDEN,
    mpf(0),
    lambda k: mpf(-1) ** (k + 1) / (k + 2),
    lambda f: f**2 / log1p(f) if f else mpf(0),
    "log(1+f) ~ f + f^2 P(f) for -1/4 - 0.001 <= f <= 1/2 + 0.001.",
)
LOG1P_UNIT = Problem(
    "LOG1P_UNIT",
    mpf(0),
    mpf(1),
    HALF,
    log1p_about_half,
    lambda v: v**2 / log1p(v) if v else mpf(0),
    "log(1+v) ~ v + v^2 P(v) for 0 <= v <= 1.",
)


def horner(coefficients, x):
    """The polynomial with these coefficients, lowest degree first, at x."""
    value = mpf(0)
    for c in reversed(coefficients):
        value = value * x + c
    return value


def rounded(x, bits):
    """x rounded to nearest with this many significant bits."""
    with mp.workprec(bits):
        return +x


def expansion(problem, bits):
    """The leading coefficients of g, and a bound for the sum of the terms left out."""
    x = max(problem.centre - problem.low, problem.high - problem.centre)
    series = []
    for k in count():
        tail = abs(problem.series(k)) * x**k / (1 - x)
        if tail < mpf(2) ** (-bits - 40):
            return series, tail
        series.append(problem.series(k))


def chebyshev_grid(low, high, intervals):
    """Points from low to high that get denser towards both ends as the extrema of P - g do."""
    return [
        (low + high) / 2 - (high - low) / 2 * cos(pi * i / intervals) for i in range(intervals + 1)
    ]


def alternation(errors, size):
    """Indices of `size` extrema of alternating sign, the largest error among them."""
    peaks = []
    for i, e in enumerate(errors):
        if peaks and (e < 0) == (errors[peaks[-1]] < 0):
            if abs(e) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        else:
            peaks.append(i)
    while len(peaks) > size:
        # Leaving out an inner peak makes its neighbours one run, of which the larger stays.
        ends = (0, len(peaks) - 1)
        among = ends if len(peaks) == size + 1 else range(len(peaks))
        k = min(among, key=lambda k: abs(errors[peaks[k]]))
        kept = [] if k in ends else [max(peaks[k - 1], peaks[k + 1], key=lambda i: abs(errors[i]))]
        peaks[max(k - len(kept), 0) : k + 1 + len(kept)] = kept
    return peaks


def level_fit(points, reference):
    """The polynomial whose weighted error is +-level in turn at the reference points."""
    size = len(reference)
    system, right = matrix(size, size), matrix(size, 1)
    for row, i in enumerate(reference):
        x, weight, target = points[i]
        for k in range(size - 1):
            system[row, k] = weight * x**k
        system[row, size - 1] = (-1) ** row
        right[row] = weight * target
    *coefficients, level = lu_solve(system, right)
    return coefficients, abs(level)


def remez(points, length):
    """Minimax polynomial of `length` coefficients on (x, weight, target), and its error."""
    last = len(points) - 1
    reference = [i * last // length for i in range(length + 1)]
    while True:
        coefficients, level = level_fit(points, reference)
        errors = [weight * (horner(coefficients, x) - target) for x, weight, target in points]
        worst = max(map(abs, errors))
        if worst <= level * (1 + mpf(2) ** -12):
            return coefficients, worst
        reference = alternation(errors, length + 1)


def remaining(points, fixed):
    """The problem left for the higher coefficients once the lowest ones are fixed.

    P = F + x^n R has the error |w| (P - g) = +-|w x^n| (R - (g - F) / x^n).  The sign changes at 0
    if n is odd, but the error is 0 there, so the alternation theorem holds for R on both sides.
    """
    n = len(fixed)
    return [
        (x, weight * abs(x) ** n, (target - horner(fixed, x)) / x**n)
        for x, weight, target in points
    ]


def sample(problem, length, bits):
    """(x, |w(x)|, g(x)) on a grid; the odd number of intervals keeps 0 out of symmetric ones."""
    series, _ = expansion(problem, bits)
    grid = chebyshev_grid(problem.low, problem.high, 32 * length + 33)
    return [(x, abs(problem.weight(x)), horner(series, x - problem.centre)) for x in grid if x]


def rounded_fit(points, length, bits):
    """Coefficients rounded one after another, lowest degree first."""
    fixed = []
    for free in range(length, 0, -1):
        coefficients, _ = remez(remaining(points, fixed), free)
        fixed.append(rounded(coefficients[0], bits))
    return fixed


def shifted(coefficients, m):
    """Coefficients of the polynomial in powers of x - m, by repeated synthetic division."""
    c = list(coefficients)
    for j in range(len(c) - 1):
        for k in range(len(c) - 2, j - 1, -1):
            c[k] += m * c[k + 1]
    return c


def error_bound(problem, coefficients, bits):
    """A proven bound for |w (P - g)| on the whole interval.

    On [a, b] with middle m and half width h, |sum d_k (x - m)^k| <= sum |d_k| h^k, and |w| is
    largest at one of the ends because it increases with |x|.
    """
    series, tail = expansion(problem, bits)
    moved = shifted(coefficients, problem.centre)
    padded = moved + [mpf(0)] * (len(series) - len(coefficients))
    difference = [p - g for p, g in zip(padded, series, strict=True)]
    grid = chebyshev_grid(problem.low, problem.high, 640)
    bound = mpf(0)
    for a, b in pairwise(grid):
        local = shifted(difference, (a + b) / 2 - problem.centre)
        largest = horner([abs(d) for d in local], (b - a) / 2) + tail
        bound = max(bound, largest * max(abs(problem.weight(a)), abs(problem.weight(b))))
    return bound


def shortest_fit(problem, fmt, log_bound):
    """The rounded polynomial of lowest degree whose error is proven to be below the bound."""
    limit = mpf(2) ** log_bound
    for length in count(2):
        points = sample(problem, length, fmt.bits)
        if remez(points, length)[1] >= limit:
            continue
        coefficients = rounded_fit(points, length, fmt.bits)
        bound = error_bound(problem, coefficients, fmt.bits)
        if bound < limit:
            return coefficients, bound


def exp_fit(fmt):
    length = fmt.exp_degree - 1
    coefficients = rounded_fit(sample(EXP, length, fmt.bits), length, fmt.bits)
    return coefficients, error_bound(EXP, coefficients, fmt.bits)


def literal(x, fmt):
    """A value of the format as a hexadecimal constant, without trailing zeros."""
    digits, exponent = float(x).hex().split("p")
    return f"{digits.rstrip('0').rstrip('.')}p{exponent}{fmt.literal}"


def array(problem, fmt, fit):
    """The definition of an array, highest degree first."""
    coefficients, bound = fit
    units = int(mp.ceil(bound * 2**fmt.bits * 10**4)) / 10**4
    about = f"{problem.about} Relative error of the approximation: at most {units:.4f} u."
    comment = textwrap.wrap(f"/* {about} */", WIDTH, subsequent_indent="   ")
    values = ", ".join(literal(c, fmt) for c in reversed(coefficients))
    body = textwrap.wrap(values + ",", WIDTH, initial_indent="    ", subsequent_indent="    ")
    name = f"static const {fmt.ctype} {problem.name}_{fmt.suffix}[] = {{"
    return [*comment, name, *body, "};", ""]


def constants(fmt):
    """LN2_HI + LN2_LO is log(2) to twice the working precision; so is LN2_TOP + LN2_REST, nearly,
    and k * LN2_TOP is exact for every exponent k of the format."""
    high = rounded(log(2), fmt.bits)
    top = rounded(log(2), fmt.bits - fmt.exponent_bits)
    values = {
        "LOG2E": 1 / log(2),
        "LN2_HI": high,
        "LN2_LO": log(2) - high,
        "LN2_TOP": top,
        "LN2_REST": log(2) - top,
    }
    return [
        f"static const {fmt.ctype} {name}_{fmt.suffix} = {literal(rounded(x, fmt.bits), fmt)};"
        for name, x in values.items()
    ] + [""]


def header():
    lines = [
        "/* Generated by tools/coefficients.py from the minimax problems defined there:",
        "   change that script, not this file.  Arrays are in Horner order, highest degree first,",
        "   and P is the polynomial of the array. */",
        "#ifndef CROSSENT_COEFFICIENTS_H",
        "#define CROSSENT_COEFFICIENTS_H",
        "",
    ]
    for fmt in FORMATS:
        lines += [f"/* {fmt.ctype}: u = 2^-{fmt.bits} */", "", *constants(fmt)]
        lines += array(EXP, fmt, exp_fit(fmt))
        lines += array(LOG1P, fmt, shortest_fit(LOG1P, fmt, fmt.log_bound))
        # 0.1 u: log1p_unit adds its terms with less error than log_near
        lines += array(LOG1P_UNIT, fmt, shortest_fit(LOG1P_UNIT, fmt, mpf("-3.3") - fmt.bits))
    return "\n".join([*lines, "#endif", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare the header on disk")
    check = parser.parse_args().check
    text = header()
    if not check:
        sys.stdout.write(text)
    elif not HEADER.is_file() or HEADER.read_text(encoding="utf-8") != text:
        sys.exit(f"{HEADER.name} differs from the output of {Path(__file__).name}")


if __name__ == "__main__":
    main()
