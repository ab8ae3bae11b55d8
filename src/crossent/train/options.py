"""Options by name: those of other libraries are answered with ours."""

import inspect
from functools import wraps

from .. import _errors

_RATE = "the learning rate belongs to the optimiser: optimizer=Adam({0})"
_ELSEWHERE = {
    "lr": _RATE.format("lr"),
    "learning_rate": _RATE.format("learning_rate"),
    "momentum": "it belongs to the optimiser: optimizer=SGD(lr, momentum=...)",
    "weight_decay": "it belongs to the optimiser: optimizer=AdamW(lr, weight_decay=...)",
    "verbose": "progress=True shows a bar",
    "class_weights": "did you mean 'class_weight'?",
    "weights": "sample_weight weighs rows, class_weight classes",
    "weight": "sample_weight weighs rows, class_weight classes",
    "callbacks": "callback takes one function of (network, history)",
    "validation_data": "validation=(X, y)",
    "validation_split": "validation=0.1",
    "validation_fraction": "validation=0.1",
    "early_stopping": "patience=3 with validation=(X, y)",
    "random_state": "did you mean 'seed'?",
    "n_epochs": "did you mean 'epochs'?",
    "max_iter": "did you mean 'epochs'?",
    "n_jobs": "did you mean 'threads'?",
    "target": "the targets are the second argument, y",
    "labels": "the targets are the second argument, y",
}


def by_name(meanings=_ELSEWHERE, positional=""):
    """A decorator: unknown options, and too many positional arguments, are answered in our words.

    `meanings` maps names of other libraries to what to write here; `positional` says what to do
    with a number too many.
    """

    def decorate(function):
        parameters = list(inspect.signature(function).parameters.values())
        known = [p.name for p in parameters[1:]]  # without self or cls
        most = sum(p.kind == p.POSITIONAL_OR_KEYWORD for p in parameters)
        owner = function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def checked(*args, **options):
            for name in options.keys() - set(known):
                raise _errors.meant_option(name, owner, known, meanings)
            if len(args) > most:
                raise TypeError(
                    f"{owner} has {len(args) - 1} arguments without a name; expected at most "
                    f"{most - 1} ({', '.join(known[: most - 1])}), all others by name{positional}"
                )
            return function(*args, **options)

        return checked

    return decorate
