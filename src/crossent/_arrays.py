"""Earlier names of checks and errors, until the loop and the linear losses call `_check` itself."""

from . import _check, _errors


def as_real(value, name):
    return _check.real(name, value)


def as_target(value, logits):
    if _check.array("target", value).dtype.kind in "iub":
        return _check.behaved(_check.array("target", value))
    return _check.class_target("target", value, logits.shape)


def vector(value, name):
    return _check.class_numbers(name, value)


def per_row(value, shape, name):
    return _check.per_row(name, value, shape)


def bad_label(target, row, classes, name="target"):
    return _errors.bad_label(name, target, row, classes)
