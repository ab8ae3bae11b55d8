"""A network in a file, and back."""

import os
import zipfile
import zlib
from contextlib import nullcontext

import numpy as np

from .. import _check


def save(net, path):
    """Writes parameters and architecture to an ``.npz`` file."""
    arrays = {}
    for i, (weight, bias) in enumerate(net.layers):
        arrays[f"weight{i}"] = weight
        if bias is not None:
            arrays[f"bias{i}"] = bias
    np.savez(
        path if hasattr(path, "write") else path_of(path),
        activations=np.array(net.activations, "U8"), dropouts=np.array(net.dropouts),
        output=np.array(net.output), layers=np.array(len(net.layers)),
        scaling=np.array(net._scaling, float), **arrays,
    )  # fmt: skip


def path_of(path):
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"path is {path!r}; expected the name of a file, or an open binary file")
    return os.fsdecode(path)


def written_to(path):
    """The file that `save` wrote: NumPy appends .npz to names that do not end so."""
    path = path_of(path)
    with_ending = path if path.endswith(".npz") else path + ".npz"
    return with_ending if os.path.exists(with_ending) else path


# What damaged files make NumPy, zipfile and zlib raise, besides KeyError for a missing array.
DAMAGE = (TypeError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def load(cls, path):
    """The network that `save` wrote."""
    with nullcontext(path) if hasattr(path, "read") else open(written_to(path), "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return network_of(cls, arrays)
        except DAMAGE as error:
            raise ValueError(
                f"{path} holds no network; expected a file that Network.save wrote: {error}"
            ) from error


def network_of(cls, arrays):
    layers = [
        (arrays[f"weight{i}"], arrays[f"bias{i}"] if f"bias{i}" in arrays else None)
        for i in range(int(arrays["layers"]))
    ]
    net = cls(
        layers,
        activation=[str(a) for a in arrays["activations"]],
        dropout=[float(d) for d in arrays["dropouts"]],
        output=str(arrays["output"]),
    )
    temperature, softcap = (None if np.isnan(s) else float(s) for s in arrays["scaling"])
    net._scaling = (
        _check.positive("temperature", temperature, optional=True),
        _check.positive("softcap", softcap, optional=True),
    )
    return net
