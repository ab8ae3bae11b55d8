"""What all losses share: options, reductions, statuses, the object with forward and backward."""
from libc.math cimport NAN, isfinite

import numpy as np

from .. import _check, _errors

cnp.import_array()

cdef enum:
    MADE = 64     # objects kept of a function's calls


# ---------------------------------------------------------------- statuses

cdef object rows_found(crossent_softmax *call, str logits, object labels, object shape):
    """Where a call found a fault in a row; `labels` may be None where there are none."""
    return _errors.Found(logits=logits, labels=labels, shape=shape, row=call.fault_row,
                         column=call.fault_column, count=call.faults, classes=call.classes)


cdef object elements_found(crossent_sigmoid *call, str logits, object shape):
    """Where a call found a fault in an element."""
    return _errors.Found(elementwise=True, logits=logits, shape=shape, row=call.fault_element,
                         count=call.faults, value=call.fault_value)


cdef int refuse(int status, object found) except -1:
    """The one place where a status of the C core becomes an exception."""
    raise _errors.of_status(status, found)


# ---------------------------------------------------------------- losses

cdef class _Loss:
    """What all losses share: options parsed once, forward, backward and both in one pass."""

    cdef dict parse(self, object table, dict options):
        """All options in the form the loss works with; keeps those that every loss has."""
        cdef dict parsed = table.parse(options)
        self._table = table
        self._given = options
        self._reduction = parsed["reduction"]
        self._normalizer = parsed["normalizer"]
        if self._normalizer is not None and self._reduction != MEAN:
            raise ValueError("normalizer replaces the divisor of a mean; expected "
                             "reduction='mean' with it")
        self._empty = parsed["empty"]
        self._nonfinite = parsed.get("nonfinite", 0)
        self._threads = parsed["threads"]
        self._axis = parsed.get("axis", -1)
        return parsed

    cdef tuple run(self, object logits, object target, object out, bint gradient, dict extra):
        """(loss, gradient or None) and, where asked for, what `return_aux` names."""
        raise NotImplementedError

    cdef double divisor(self, double weight, double count, double batch) except? -1:
        """What a mean divides by; 0 where nothing takes part."""
        cdef object n = self._normalizer
        if self._reduction != MEAN:
            return 1
        if n is None or n == "weight":
            weight = weight
        elif n == "valid":
            weight = count
        elif n == "batch":
            weight = batch
        else:
            return n
        if weight == 0 and self._empty == 2:
            raise ValueError("no row takes part in the mean (all are ignored, have weight 0, or "
                             "there are none); expected at least one, or empty='nan' or 'zero'")
        return weight

    cdef double upstream(self, dict extra) except? -1:
        """Derivative of what is minimised by the loss; 1 where each row has its own."""
        value = extra.get("upstream") if extra else None
        if value is None:
            return 1
        if type(value) is float and isfinite(<double>value):
            return value
        return 1 if np.ndim(value) else _check.number("upstream", value)

    cdef crossent_nonfinite nonfinite(self) noexcept:
        """What the C core does with logits that are not finite."""
        if self._nonfinite == 0:
            return CROSSENT_PROPAGATE
        return CROSSENT_ZERO if self._nonfinite == 1 else CROSSENT_REPORT

    cdef object reduced(self, double total, double divisor):
        if divisor == 0:
            return NAN if self._empty == 0 else 0.0
        return total / divisor

    def __repr__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in self._given.items())
        return f"crossent.{type(self).__name__}({options})"

    def __reduce__(self):
        return _rebuild, (type(self), self._given)

    def __call__(self, logits, target, **call_options):
        """The same as `forward`."""
        return self.kept_forward(logits, target, call_options)

    cdef object kept_forward(self, object logits, object target, dict call_options):
        """The loss; its arguments are kept for `backward`."""
        self.check_call(call_options, None, False)
        result = self.run(logits, target, None, False, call_options)
        self._saved = (logits, target)
        self._saved_extra = call_options
        return value_of(result)

    def backward(self, upstream=1.0, *, out=None, accumulate=False):
        """Gradient with respect to the logits, or probabilities, of the last `forward`.

        Parameters
        ----------
        upstream : float, or one number for each row with ``reduction="none"``
            Derivative of what is minimised with respect to the loss.
        out, accumulate
            As for `value_and_grad`.

        Returns
        -------
        grad : ndarray of the logits' shape and dtype

        Raises
        ------
        RuntimeError
            If nothing was passed to `forward` before.
        """
        if self._saved is None:
            raise RuntimeError("backward was called before forward")
        extra = {**self._saved_extra, "upstream": upstream, "accumulate": accumulate}
        extra.pop("return_aux", None)
        check_accumulate(out, extra)
        return self.run(self._saved[0], self._saved[1], out, True, extra)[1]

    cdef tuple fused(self, object logits, object target, object out, dict call_options):
        """Loss and gradient of `value_and_grad`."""
        if not call_options:
            return self.run(logits, target, out, True, None)
        self.check_call(call_options, out, True)
        return self.run(logits, target, out, True, call_options)

    cdef int check_call(self, dict call_options, object out, bint gradient) except -1:
        for name in call_options:
            if name not in self._table.of_calls:
                raise self._table.refuse(name)
        if gradient:
            check_accumulate(out, call_options)
        return 0


def _rebuild(cls, options):
    return cls(**options)


cdef int check_accumulate(object out, dict options) except -1:
    if out is None and options.get("accumulate"):
        raise ValueError("accumulate=True adds to out, but out is None; expected an array")
    return 0


# ---------------------------------------------------------------- functions

cdef class Known:

    def __cinit__(self, type cls, table):
        self.cls, self.table, self.made = cls, table, {}
        self.of_class, self.of_calls = table.of_class, table.of_calls

    cdef _Loss loss(self, dict options):
        """The object of these options: an earlier one, if all are numbers, strings or None, whose
        values cannot change. Several threads may use one object at a time."""
        cdef list key = []
        cdef _Loss loss
        for name, value in options.items():
            kind = type(value)
            if not (value is None or kind is float or kind is str or kind is int or kind is bool):
                return self.cls(**options)
            key += (name, kind, value)      # the kind, for True is 1, but no axis
        known = tuple(key)
        found = self.made.get(known)
        if found is not None:
            return <_Loss>found
        loss = self.cls(**options)
        if len(self.made) >= MADE:
            self.made.clear()
        self.made[known] = loss
        return loss

    cdef tuple run(self, object logits, object target, object out, bint gradient, dict options):
        """A loss function's options: some make the object, some belong to the call."""
        cdef dict extra = None
        cdef dict of_class = options
        for name in options:
            if name in self.of_calls:
                extra = {}
            elif name not in self.of_class:
                raise _errors.unknown_option(name, self.table.function, self.table.names)
        if extra is not None:
            of_class = {}
            for name, value in options.items():
                if name in self.of_calls:
                    extra[name] = value
                else:
                    of_class[name] = value
            if gradient:
                check_accumulate(out, extra)
        return self.loss(of_class).run(logits, target, out, gradient, extra)


cdef object value_of(tuple result):
    """What a function that returns no gradient returns of a run."""
    return result[0] if len(result) == 2 else (result[0], result[2])
