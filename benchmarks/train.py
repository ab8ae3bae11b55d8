"""The mini-batch loop against NumPy, PyTorch and scikit-learn: microseconds an iteration.

20,000 x 784 float32, 10 classes, batch 64. All candidates run in turn, round after round, so that
whatever else the machine does falls on all of them; the figures are medians over the rounds, and of
crossent against each other one the median of the ratios within a round. With one thread it is the
time of the processor that counts, with two the time of day.

    python benchmarks/train.py [threads ...]       default: 1 2; each in a process of its own
    python benchmarks/train.py --linear [threads ...]
                                    linear_cross_entropy, 2048 x 512, 128,256 classes
"""

import argparse
import os
import subprocess
import sys
from itertools import pairwise
from time import perf_counter, process_time, sleep

import numpy as np

ROWS, FEATURES, CLASSES, BATCH, HIDDEN = 20_000, 784, 10, 64, 128
STEPS = ROWS // BATCH  # of each candidate in each round: an epoch
ROUNDS = 7
PAUSE = 0.1  # seconds until the threads of the one before sleep
SPLITS = 20  # of the data sets whose held-out accuracy is compared
RNG = np.random.default_rng(0)


def make_layers(widths):
    return [
        [RNG.standard_normal((n, m), np.float32) * np.float32(0.05), np.zeros(m, np.float32)]
        for n, m in pairwise(widths)
    ]


# ---------------------------------------------------------------- the candidates


def numpy_loop(X, y, widths, adam):
    """Returns a function that does the first `steps` steps of an epoch."""
    layers = make_layers(widths)
    state = [[[np.zeros_like(p), np.zeros_like(p)] for p in pair] for pair in layers]
    done = 0

    def update(p, g, moments):
        if not adam:
            p -= 0.01 * g
            return
        m, v = moments
        m *= 0.9
        m += 0.1 * g
        v *= 0.999
        v += 0.001 * g * g
        p -= 0.001 * (m / (1 - 0.9**done)) / (np.sqrt(v / (1 - 0.999**done)) + 1e-8)

    def run(steps):
        nonlocal done
        order = RNG.permutation(len(X))
        for i in range(steps):
            rows = order[BATCH * i : BATCH * (i + 1)]
            x, target = X[rows], y[rows]
            h = x
            inputs = [x]
            for weight, bias in layers[:-1]:
                h = np.maximum(h @ weight + bias, 0)
                inputs.append(h)
            logits = h @ layers[-1][0] + layers[-1][1]
            exps = np.exp(logits - logits.max(axis=1, keepdims=True))
            delta = exps / exps.sum(axis=1, keepdims=True)
            np.log(delta[np.arange(BATCH), target]).mean()
            delta[np.arange(BATCH), target] -= 1
            delta /= BATCH
            done += 1
            for i in reversed(range(len(layers))):
                weight, bias = layers[i]
                grads = inputs[i].T @ delta, delta.sum(axis=0)
                if i:
                    delta = (delta @ weight.T) * (inputs[i] > 0)
                update(weight, grads[0], state[i][0])
                update(bias, grads[1], state[i][1])

    return run


def torch_loop(X, y, widths, adam):
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    modules = []
    for n, m in pairwise(widths):
        modules += [torch.nn.Linear(n, m), torch.nn.ReLU()]
    model = torch.nn.Sequential(*modules[:-1])
    optimizer = (torch.optim.Adam if adam else torch.optim.SGD)(model.parameters(), lr=1e-3)
    data, target = torch.from_numpy(X), torch.from_numpy(y)

    def run(steps):
        order = torch.randperm(len(X))
        for i in range(steps):
            rows = order[BATCH * i : BATCH * (i + 1)]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(data[rows]), target[rows]).backward()
            optimizer.step()

    return run


def sklearn_loop(X, y, widths, adam):
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        widths[1:-1], solver="adam" if adam else "sgd", batch_size=BATCH, alpha=0.0
    )
    model.partial_fit(X[:BATCH], y[:BATCH], classes=np.arange(CLASSES))
    return lambda steps: model.partial_fit(X[: steps * BATCH], y[: steps * BATCH])


def crossent_loop(X, y, widths, adam):
    from crossent.train import SGD, Adam, Network

    net = Network([tuple(pair) for pair in make_layers(widths)])
    optimizer = Adam(1e-3) if adam else SGD(0.01)
    order = RNG.permutation(len(X))  # so that rows come from all over memory, as elsewhere

    def run(steps):
        # An epoch over a part would touch less memory: the others gather from all of X.
        X_part, y_part = X, y
        loop, _, _ = net._loop(BATCH, int(os.environ["OMP_NUM_THREADS"]), optimizer.moments, True)
        net._bind(loop, X_part, y_part)
        loop.optimize(optimizer, net._steps, int(order[0]) + net._steps, 1)
        loop.order("all", CLASSES, 0, True)
        loop.epoch(np.full(steps, optimizer.lr), steps * BATCH, None)
        net._steps = loop.step

    return run


def bare_products(X, y, widths, adam):
    """Nothing but the products of a step, by NumPy's BLAS, on contiguous batches."""
    layers = make_layers(widths)
    activations = [RNG.standard_normal((BATCH, n), np.float32) for n in widths]
    grads = [np.empty_like(weight) for weight, _ in layers]

    def run(steps):
        for _ in range(steps):
            for i, (weight, _) in enumerate(layers):
                np.matmul(activations[i], weight, out=activations[i + 1])
            for i, (weight, _) in enumerate(layers):
                np.matmul(activations[i].T, activations[i + 1], out=grads[i])
                if i:
                    activations[i + 1] @ weight.T

    return run


def bytes_moved(X, y, widths, adam):
    """The bytes of gather and update, as copies: a batch's rows; and parameters, gradients and
    moments, of which all but the gradients are written too."""
    parameters = sum(n * m + m for n, m in pairwise(widths))
    arrays = 3 if adam else 1
    source = np.zeros((arrays + 1, parameters), np.float32)
    target = np.zeros((arrays, parameters), np.float32)
    batch = np.empty((BATCH, FEATURES), np.float32)

    def run(steps):
        order = RNG.permutation(len(X))
        for i in range(steps):
            np.take(X, order[BATCH * i : BATCH * (i + 1)], axis=0, out=batch, mode="clip")
            np.copyto(target, source[:arrays])

    return run


CANDIDATES = {
    "crossent": crossent_loop,
    "NumPy": numpy_loop,
    "PyTorch": torch_loop,
    "scikit-learn": sklearn_loop,
    "bare products": bare_products,
    "bytes of gather and update": bytes_moved,
}


# ---------------------------------------------------------------- measuring


def clock_of():
    """One thread: the processor's time, which other programs disturb least; two: time of day."""
    return process_time if os.environ["OMP_NUM_THREADS"] == "1" else perf_counter


def compare(title, widths, adam):
    X = RNG.standard_normal((ROWS, FEATURES), np.float32)
    y = RNG.integers(0, CLASSES, ROWS)
    runs, clock = {}, clock_of()
    for name, make in CANDIDATES.items():
        try:
            runs[name] = make(X, y, widths, adam)
            runs[name](5)
        except ImportError:
            print(f"({name} is not installed)")
    times = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            sleep(PAUSE)
            run(5)
            start = clock()
            run(STEPS)
            times[name].append((clock() - start) / STEPS * 1e6)
    print(f"\n{title}, {os.environ['OMP_NUM_THREADS']} thread(s)")
    print(f"{'':28}{'us a step':>10}{'/ crossent':>12}")
    own = np.array(times["crossent"])
    for name, values in times.items():
        ratio = np.median(np.array(values) / own)
        print(f"{name:28}{np.median(values):10.1f}{ratio:12.2f}")
    floor = 1.25 * np.array(times["bare products"]) + np.array(times["bytes of gather and update"])
    print(f"{'1.25 products + bytes':28}{np.median(floor):10.1f}{np.median(floor / own):12.2f}")


def estimators(rows, classes, seed):
    """Pairs (scikit-learn's, ours). LogisticRegression's penalty is ours of 1 / rows, where each of
    two classes has weights of its own 2 / rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    from crossent import sklearn as ours
    from crossent.train import Adam, Cosine

    penalty = (2 if classes == 2 else 1) / rows
    return {
        "LogisticRegression": LogisticRegression(max_iter=1000),
        "SoftmaxClassifier": ours.SoftmaxClassifier(
            optimizer=Adam(0.03, l2=penalty, schedule=Cosine()), epochs=50, random_state=seed
        ),
        "scikit-learn MLPClassifier": MLPClassifier((100,), random_state=seed),
        "crossent MLPClassifier": ours.MLPClassifier(
            (100,), optimizer=Adam(0.003, schedule=Cosine()), epochs=60, random_state=seed
        ),
    }


def held_out():
    """Accuracy on rows kept aside, and the time to fit, against scikit-learn: means over splits.
    The difference stands with its standard error; below two of them nothing is shown to differ."""
    import warnings

    from sklearn.datasets import load_breast_cancer, load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    warnings.simplefilter("ignore")  # scikit-learn's, where an iteration limit is reached
    clock = clock_of()
    print(f"\nHeld-out accuracy, {SPLITS} splits, {os.environ['OMP_NUM_THREADS']} thread(s)")
    for load in (load_digits, load_breast_cancer):
        X, y = load(return_X_y=True)
        scores, times = {}, {}
        for split in range(SPLITS):
            parts = train_test_split(X, y, stratify=y, random_state=split)
            scaler = StandardScaler().fit(parts[0])
            rows, test = (scaler.transform(part).astype(np.float32) for part in parts[:2])
            for name, model in estimators(len(rows), len(np.unique(y)), split).items():
                start = clock()
                model.fit(rows, parts[2])
                times.setdefault(name, []).append(clock() - start)
                scores.setdefault(name, []).append(100 * model.score(test, parts[3]))
        print(f"{load.__name__[5:]:28}{'%':>8}{'ms':>8}{'difference':>16}")
        names = list(scores)
        for i, name in enumerate(names):
            line = f"{name:28}{np.mean(scores[name]):8.2f}{np.median(times[name]) * 1e3:8.1f}"
            if i % 2:
                more = np.subtract(scores[name], scores[names[i - 1]])
                line += f"{more.mean():+9.2f} +- {more.std(ddof=1) / np.sqrt(SPLITS):.2f}"
            print(line)


def linear():
    """linear_cross_entropy_value_and_grad against its three bare products and PyTorch."""
    import crossent

    rows, features, classes = 2048, 512, 128_256
    threads, clock = int(os.environ["OMP_NUM_THREADS"]), clock_of()
    x = RNG.standard_normal((rows, features), np.float32)
    weight = RNG.standard_normal((classes, features), np.float32) * np.float32(0.02)
    target = RNG.integers(0, classes, rows)
    gradients = (x.nbytes + weight.nbytes) / 2**20

    def bare():
        z = np.empty((rows, classes), np.float32)
        np.matmul(x, weight.T, out=z)
        return z @ weight, z.T @ x

    def with_torch(chunked):
        import torch

        torch.set_num_threads(threads)
        a = torch.from_numpy(x).requires_grad_()
        w = torch.from_numpy(weight).requires_grad_()
        t = torch.from_numpy(target)
        f = torch.nn.functional
        if chunked:
            f.linear_cross_entropy(a, w, t).backward()
        else:
            f.cross_entropy(f.linear(a, w), t).backward()
        return a.grad, w.grad

    def crossent_by(chunk):
        return lambda: crossent.linear_cross_entropy_value_and_grad(
            x, weight, target, chunk=chunk, threads=threads
        )

    runs = {"crossent": crossent_by(None), "three bare products": bare}
    try:
        import torch

        runs["torch linear + cross_entropy"] = lambda: with_torch(False)
        if hasattr(torch.nn.functional, "linear_cross_entropy"):
            runs["torch linear_cross_entropy"] = lambda: with_torch(True)
    except ImportError:
        print("(PyTorch is not installed)")
    runs |= {f"crossent, chunk={n}": crossent_by(n) for n in (24, 48, 96)}
    print(
        f"\nlinear_cross_entropy, {rows} x {features}, {classes} classes, {threads} thread(s); "
        f"all logits {rows * classes * 4 / 2**20:.0f} MB, gradients {gradients:.0f} MB"
    )
    times, peaks = {name: [] for name in runs}, {}
    for _ in range(2):
        for name, run in runs.items():
            peaks[name], seconds = peak_of(run, clock)
            times[name].append(seconds)
    print(f"{'':32}{'s':>8}{'/ bare':>8}{'MB beyond the gradients':>26}")
    for name, values in times.items():
        ratio = np.median(np.array(values) / np.array(times["three bare products"]))
        print(f"{name:32}{np.median(values):8.2f}{ratio:8.2f}{peaks[name] - gradients:26.0f}")


def peak_of(run, clock):
    """Growth of the process's peak resident memory while it runs, in MB, and its time."""

    def status(key):
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(key)) / 1024

    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak counts from here
    before = status("VmRSS")
    start = clock()
    kept = run()  # with what it returns, as a caller would
    seconds = clock() - start
    peak = status("VmHWM") - before
    del kept
    return peak, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("threads", nargs="*", default=["1", "2"], help="default: 1 2")
    parser.add_argument("--linear", action="store_true", help="the linear layer's loss instead")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here and arguments.linear:
        return linear()
    if arguments.here:
        compare("Softmax regression, SGD", [FEATURES, CLASSES], adam=False)
        compare("One hidden layer of 128, Adam", [FEATURES, HIDDEN, CLASSES], adam=True)
        return held_out()
    for threads in arguments.threads:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        command = [sys.executable, __file__, "--here", *["--linear"] * arguments.linear]
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
