"""The arrays of a network: what is asked of them, and where those that are made here lie."""

import numpy as np

from .. import _check, _core

PAGE, LINE = 4096, 64  # bytes of a page, of a line of the cache


def parameter(name, array, shape, written, hint=""):
    """A parameter that C may read: contiguous, of a type and shape that fit; and write, where it
    is to be `written`. The `hint` is for a shape that does not fit."""
    _check.refuse_masked(name, array)
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} is a {type(array).__name__}; expected a NumPy array")
    if array.dtype not in (np.float32, np.float64) or not array.dtype.isnative:
        raise TypeError(f"{name} has dtype {array.dtype}; expected float32 or float64")
    if array.ndim != len(shape) or any(
        want not in (None, found) for want, found in zip(shape, array.shape, strict=True)
    ):
        wanted = str(tuple("any" if n is None else n for n in shape)).replace("'", "")
        raise ValueError(f"{name} has shape {array.shape}; expected {wanted}{hint}")
    if array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; expected no empty dimension")
    if not array.flags.c_contiguous or not array.flags.aligned:
        raise ValueError(f"{name} is not contiguous; expected a C-contiguous array")
    if written and not array.flags.writeable:
        raise ValueError(f"{name} is read-only; expected a writeable array")
    return array


TRANSPOSED = (
    "; weights are (inputs, outputs), as in x @ W + b: np.ascontiguousarray(W.T) of those that are "
    "(outputs, inputs)"
)


def short(value):
    """What stands for a wrong value in a message: itself, or of an array its shape."""
    shape = f" of shape {value.shape}" if isinstance(value, np.ndarray) else ""
    return f"a {type(value).__name__}{shape}" if shape or len(repr(value)) > 60 else repr(value)


def transposed(layers):
    """What to say of layers that fit each other only if all weights are transposed, else ""."""
    width = None
    for layer in layers:
        shape, bias = (np.shape(part) for part in layer)
        if len(shape) != 2 or width not in (None, shape[1]):
            return ""
        if layer[1] is not None and bias != shape[:1]:
            return ""
        width = shape[0]
    return TRANSPOSED


def layer_list(layers, written=True):
    """[(weight, bias), ...] checked: the shapes chain, nothing overlaps."""
    checked, width, arrays, first = [], None, [], None
    for i, layer in enumerate(layers):
        if not isinstance(layer, (tuple, list)) or len(layer) != 2:
            raise TypeError(
                f"layers[{i}] is {short(layer)}; expected a pair (weight, bias); "
                "Network.create([784, 128, 10]) makes new ones from their sizes"
            )
    for i, layer in enumerate(layers):
        weight_name, bias_name = f"the weight of layer {i}", f"the bias of layer {i}"
        hint = transposed(layers)
        weight = parameter(weight_name, layer[0], (width, None), written, hint)
        width = weight.shape[1]
        bias = layer[1]
        if bias is not None:
            bias = parameter(bias_name, bias, (width,), written, hint)
        first = weight if first is None else first
        for name, array in ((weight_name, weight), (bias_name, bias)):
            if array is None:
                continue
            if array.dtype != first.dtype:
                raise TypeError(
                    f"{name} has dtype {array.dtype}; expected that of the weight of layer 0, "
                    f"{first.dtype}: astype(np.{first.dtype})"
                )
            if any(np.may_share_memory(array, other) for other in arrays):
                raise ValueError(f"layer {i} shares memory with another parameter")
            arrays.append(array)
        checked.append((weight, bias))
    if not checked:
        raise ValueError("layers is empty; expected at least one pair (weight, bias)")
    return checked


def per_hidden_layer(name, value, count, check):
    """One value for each hidden layer."""
    if not isinstance(value, (list, tuple)):
        check(name, value)
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} values; expected {count}, one a hidden layer")
    for one in values:
        check(name, one)
    return values


def check_activation(name, value):
    _check.one_of(name, value, _core.ACTIVATIONS)


def check_dropout(name, value):
    _check.share(name, value)


def check_network(net, written):
    """Layers and options fit each other, also after somebody has changed an attribute."""
    net.layers = layer_list(net.layers, written)
    hidden = len(net.layers) - 1
    per_hidden_layer("activation", net.activations, hidden, check_activation)
    per_hidden_layer("dropout", net.dropouts, hidden, check_dropout)
    _check.one_of("output", net.output, ("softmax", "sigmoid"))


def aligned_zeros(shape, dtype, quarter=0, beside=None):
    """Zeros that begin with a line of the cache, `quarter` quarters of a page after `beside`.

    NumPy's own arrays seldom begin with a line; a step is some 3 % faster where no register is
    loaded from two lines. The distance to `beside` is ``quarter * PAGE / 4`` bytes modulo PAGE: a
    load waits for a recent store to an address with the same last 12 bits (4K aliasing), which
    costs Adam a quarter of its time where parameter, gradient and moments agree in them.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + PAGE, np.uint8)
    base = 0 if beside is None else beside.ctypes.data // LINE * LINE
    first = (base + quarter * PAGE // 4 - memory.ctypes.data) % PAGE
    return memory[first : first + size].view(dtype).reshape(shape)


def new_layers(sizes, activations, dtype, seed):
    """Biases 0, weights normal with the deviation that fits the activation behind them."""
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs, name in zip(sizes[:-1], sizes[1:], activations, strict=True):
        scale = np.sqrt(2 / inputs if name in ("relu", "gelu") else 2 / (inputs + outputs))
        weight = aligned_zeros((inputs, outputs), dtype)
        weight[...] = rng.standard_normal((inputs, outputs)) * scale
        layers.append((weight, np.zeros(outputs, dtype)))
    return layers
