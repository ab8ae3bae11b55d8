"""Two small neural networks in plain NumPy, each trained twice: with the usual hand-written loss
and with crossent in its place.

digits          1797 images of handwritten digits, 10 classes, softmax cross-entropy
breast cancer   569 tumours, benign or malignant, sigmoid (binary) cross-entropy

Both runs start from the same weights and see the same batches, so only the loss differs.

    python examples/demo.py        prints the comparison, saves the picture loss_curves.png
"""

from pathlib import Path
from time import perf_counter

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import crossent
from crossent.train import SGD, Network

# ---------------------------------------------------------------- the network, by hand


class Dense:
    """A layer that multiplies by a weight matrix and adds a bias."""

    def __init__(self, inputs, outputs, rng):
        scale = np.sqrt(2 / inputs)
        self.weight = (rng.standard_normal((inputs, outputs)) * scale).astype(np.float32)
        self.bias = np.zeros(outputs, np.float32)

    def forward(self, x):
        self.x = x
        return x @ self.weight + self.bias

    def backward(self, grad):
        self.weight_grad = self.x.T @ grad
        self.bias_grad = grad.sum(axis=0)
        return grad @ self.weight.T

    def update(self, rate):
        self.weight -= rate * self.weight_grad
        self.bias -= rate * self.bias_grad


class Relu:
    """A layer that replaces negative numbers by zero."""

    def forward(self, x):
        self.positive = x > 0
        return x * self.positive

    def backward(self, grad):
        return grad * self.positive

    def update(self, rate):
        pass


def forward(layers, x):
    for layer in layers:
        x = layer.forward(x)
    return x


def backward(layers, grad):
    for layer in reversed(layers):
        grad = layer.backward(grad)


def train(layers, loss_function, x, y, *, epochs, batch_size, rate, name):
    """Mini-batch gradient descent. Returns the mean loss of each epoch and the time in the loss."""
    rng = np.random.default_rng(0)
    curve, seconds = [], 0.0
    for _ in tqdm(range(epochs), desc=name, delay=2, leave=False):  # a bar if it takes over 2 s
        total = 0.0
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            logits, target = forward(layers, x[batch]), y[batch]

            clock = perf_counter()
            loss, grad = loss_function(logits, target)
            seconds += perf_counter() - clock

            backward(layers, grad)
            for layer in layers:
                layer.update(rate)
            total += float(loss) * len(batch)
        curve.append(total / len(x))
    return curve, seconds


# ---------------------------------------------------------------- the losses, by hand


def numpy_softmax_loss(logits, target):
    """What most NumPy networks do: softmax, then the logarithm of the target's probability."""
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs = exps / exps.sum(axis=1, keepdims=True)
    rows = np.arange(len(target))
    loss = -np.log(probs[rows, target] + 1e-12).mean()
    grad = probs
    grad[rows, target] -= 1
    return loss, grad / len(target)


def numpy_sigmoid_loss(logits, target):
    """The same for two classes; probabilities are clipped to keep the logarithm finite."""
    probs = 1 / (1 + np.exp(-logits))
    safe = np.clip(probs, 1e-7, 1 - 1e-7)
    loss = -(target * np.log(safe) + (1 - target) * np.log(1 - safe)).mean()
    return loss, (probs - target) / target.size


# ---------------------------------------------------------------- the two data sets


def digits_data():
    images, labels = load_digits(return_X_y=True)
    x = (images / 16).astype(np.float32)
    return train_test_split(x, labels, stratify=labels, random_state=0)


def breast_cancer_data():
    x, y = load_breast_cancer(return_X_y=True)
    x, y = x.astype(np.float32), y.astype(np.float32)[:, None]  # one column, as the logits have
    x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=y, random_state=0)
    mean, deviation = x_train.mean(axis=0), x_train.std(axis=0)
    return (x_train - mean) / deviation, (x_test - mean) / deviation, y_train, y_test


def two_layers(inputs, hidden, outputs):
    """A network with the same first weights at every call."""
    rng = np.random.default_rng(0)
    return [Dense(inputs, hidden, rng), Relu(), Dense(hidden, outputs, rng)]


def digits():
    x_train, x_test, y_train, y_test = digits_data()

    def run(name, loss_function):
        layers = two_layers(64, 64, 10)
        curve, seconds = train(
            layers, loss_function, x_train, y_train, epochs=20, batch_size=32, rate=0.1, name=name
        )
        guess = forward(layers, x_test).argmax(axis=1)
        return curve, seconds, np.mean(guess == y_test)

    return compare(
        "Handwritten digits: 10 classes, softmax cross-entropy",
        run("NumPy", numpy_softmax_loss),
        run("crossent", crossent.softmax_cross_entropy_value_and_grad),
    )


def breast_cancer():
    x_train, x_test, y_train, y_test = breast_cancer_data()

    def run(name, loss_function):
        layers = two_layers(30, 16, 1)
        curve, seconds = train(
            layers, loss_function, x_train, y_train, epochs=20, batch_size=16, rate=0.1, name=name
        )
        guess = forward(layers, x_test) > 0
        return curve, seconds, np.mean(guess == y_test)

    return compare(
        "Breast cancer: 2 classes, sigmoid cross-entropy",
        run("NumPy", numpy_sigmoid_loss),
        run("crossent", crossent.sigmoid_cross_entropy_value_and_grad),
    )


# ---------------------------------------------------------------- the loop itself, compiled


def compiled_digits():
    """The digits network three times: the loop above with either loss, and crossent's own loop."""
    x_train, x_test, y_train, y_test = digits_data()
    options = {"epochs": 20, "batch_size": 32}
    results = {}

    for name, loss in [
        ("NumPy", numpy_softmax_loss),
        ("NumPy + crossent loss", crossent.softmax_cross_entropy_value_and_grad),
    ]:
        layers = two_layers(64, 64, 10)
        clock = perf_counter()
        curve, _ = train(layers, loss, x_train, y_train, rate=0.1, name=name, **options)
        seconds = perf_counter() - clock
        guess = forward(layers, x_test).argmax(axis=1)
        results[name] = seconds, curve[-1], np.mean(guess == y_test)

    first, _, last = two_layers(64, 64, 10)
    net = Network([(layer.weight, layer.bias) for layer in (first, last)], activation="relu")
    clock = perf_counter()
    history = net.fit(x_train, y_train, optimizer=SGD(0.1), **options)
    seconds = perf_counter() - clock
    accuracy = net.evaluate(x_test, y_test)[1]
    results["crossent.train"] = seconds, history.loss[-1], accuracy

    print("\nThe same digits network, the whole training timed (crossent.train shuffles otherwise)")
    print(f"{'':24}{'time, ms':>12}{'last loss':>12}{'held-out':>12}")
    for name, (seconds, loss, accuracy) in results.items():
        print(f"{name:24}{seconds * 1e3:12.1f}{loss:12.5f}{accuracy:12.1%}")


# ---------------------------------------------------------------- what is printed and drawn


def compare(title, by_hand, by_crossent):
    print(f"\n{title}\n{'':24}{'NumPy':>12}{'crossent':>12}")
    (curve_a, seconds_a, accuracy_a), (curve_b, seconds_b, accuracy_b) = by_hand, by_crossent
    for epoch, (a, b) in enumerate(zip(curve_a, curve_b, strict=True), 1):
        print(f"{f'loss, epoch {epoch}':24}{a:12.5f}{b:12.5f}")
    print(f"{'held-out accuracy':24}{accuracy_a:12.1%}{accuracy_b:12.1%}")
    print(f"{'time in the loss, ms':24}{seconds_a * 1e3:12.2f}{seconds_b * 1e3:12.2f}")
    return title, curve_a, curve_b


def draw(results, path):
    figure = Figure(figsize=(11, 4), layout="constrained")
    panels = figure.subplots(1, len(results))
    for panel, (title, curve_a, curve_b) in zip(panels, results, strict=True):
        epochs = range(1, len(curve_a) + 1)
        panel.plot(epochs, curve_a, linewidth=5, alpha=0.4, label="NumPy, by hand")
        panel.plot(epochs, curve_b, "k--", label="crossent")
        panel.set(title=title, xlabel="epoch", ylabel="mean training loss, nats", yscale="log")
        panel.set_xticks(range(0, len(curve_a) + 1, 5))
        panel.legend()
    figure.savefig(path, dpi=120)


def worked_examples():
    print("\nWorked examples, computed by crossent")
    logits = np.array([[2.0, 1.0, 0.1]])
    probs = ", ".join(f"{p:.3f}" for p in crossent.softmax(logits)[0])
    loss = crossent.softmax_cross_entropy(logits, np.array([0]))
    print(f"  logits 2.0, 1.0, 0.1: probabilities {probs}; loss of the first class (0) {loss:.3f}")

    p = np.array([0.3])
    loss = crossent.sigmoid_cross_entropy(np.log(p / (1 - p)), np.array([0.0]))
    print(f"  binary, y = 0, p = 0.3: loss {loss:.4f}")

    print("  three samples of classes 0, 1, 0: same mistakes, different confidence")
    target = np.array([0, 1, 0])
    networks = {
        "A": np.array([[0.9, 0.1], [0.1, 0.9], [0.4, 0.6]]),
        "B": np.array([[0.6, 0.4], [0.3, 0.7], [0.1, 0.9]]),
    }
    for name, probs in networks.items():
        wrong = np.mean(probs.argmax(axis=1) != target)
        squared = np.mean(np.sum((probs - np.eye(2)[target]) ** 2, axis=1))
        loss = crossent.softmax_cross_entropy(np.log(probs), target)  # log undoes the softmax
        print(
            f"    network {name}: classification error {wrong:.2f}, "
            f"mean squared error {squared:.2f}, cross-entropy {loss:.2f}"
        )

    logits, target = np.array([[17, 0, 0]], np.float32), np.array([0])
    by_hand, _ = numpy_softmax_loss(logits, target)
    loss = crossent.softmax_cross_entropy(logits, target)
    print(
        "  a confident float32 sample, logits 17, 0, 0: "
        f"by hand {abs(by_hand):.3g}, crossent {loss:.3g}"
    )


def main():
    print("Each network is trained twice, from the same weights; only the loss function differs.")
    print("Losses are means over an epoch, in nats; times are of this machine.")
    results = [digits(), breast_cancer()]
    compiled_digits()
    worked_examples()
    picture = Path("loss_curves.png").resolve()
    draw(results, picture)
    print(f"\nLoss curves: {picture}")


if __name__ == "__main__":
    main()
