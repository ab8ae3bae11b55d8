"""What all losses share: options, reductions, statuses, the object with forward and backward."""
from libc.math cimport NAN, isfinite

import numpy as np

from crossent._core.arrays cimport check_disjoint, normalize_axis, output_array

from .. import _check, _errors

cdef extern from "numpy/arrayobject.h":
    object PyArray_Scalar(void *data, object dtype, object base)

cnp.import_array()

cdef object FLOAT64 = np.dtype(np.float64)

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
        if parsed["normalizer"] is not None and parsed["reduction"] != MEAN:
            raise ValueError("normalizer replaces the divisor of a mean; expected "
                             "reduction='mean' with it")
        self._table = table
        self._given = options
        self._reduction = parsed["reduction"]
        self._normalizer = parsed["normalizer"]
        self._empty = parsed["empty"]
        self._nonfinite = parsed.get("nonfinite", 0)
        self._threads = parsed["threads"]
        self._axis = parsed.get("axis", -1)
        return parsed

    cdef tuple run(self, object logits, object target, object out, bint gradient, dict extra):
        """(loss, gradient or None) and, where asked for, what `return_aux` names."""
        raise NotImplementedError

    cdef int check_made(self) except -1:
        """A subclass whose `__init__` forgets ours has no options to work with."""
        if self._table is None:
            raise RuntimeError(f"{type(self).__name__} has no options yet; expected its __init__ "
                               "to call super().__init__(**options)")
        return 0

    cdef double divisor(self, double weight, double count, double batch,
                        double first) except? -1:
        """What a mean divides by; 0 where nothing takes part. `batch` counts rows, or elements;
        `first` is the length of the first axis that is no class axis."""
        cdef object n = self._normalizer
        if self._reduction == BATCHMEAN:
            n, weight = "weight", first
        elif self._reduction != MEAN:
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
            return float64(NAN if self._empty == 0 else 0.0)
        return float64(total / divisor)

    def __repr__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in (self._given or {}).items())
        return f"crossent.{type(self).__name__}({options})"

    def __reduce__(self):
        self.check_made()
        return _rebuild, (type(self), self._given)

    cdef object value(self, object data, object target, tuple more, dict call_options):
        """The loss alone."""
        cdef dict extra = None
        if more:
            refuse_more(self, more)
        if call_options:
            self.check_call(call_options, None, False)
            extra = call_options
        return value_of(self.run(data, target, None, False, extra))

    cdef object kept_forward(self, object logits, object target, dict call_options):
        """The loss; the gradient, from the same pass, is kept for `backward`."""
        cdef tuple result
        self.check_call(call_options, None, False)
        call_options.pop("upstream", None)
        call_options.pop("accumulate", None)
        result = self.run(logits, target, None, True, call_options)
        self._kept = result[1]
        return value_of(result)

    def backward(self, upstream=1.0, *, out=None, accumulate=False):
        """Gradient with respect to the logits, or probabilities, of the last `forward`.

        It was computed there: what became of the logits since does not matter.

        Parameters
        ----------
        upstream : float, or one number for each row with ``reduction="none"``
            Derivative of what is minimised with respect to the loss.
        out : ndarray of the logits' shape and dtype, optional
            Receives the gradient.
        accumulate : bool, default False
            Add the gradient to `out` instead of replacing it.

        Returns
        -------
        grad : ndarray of the logits' shape and dtype
            It is `out`, if that is given. Else, where `upstream` is 1, it is the array that
            `forward` wrote, not a copy, which a second call would return again.

        Raises
        ------
        RuntimeError
            If nothing was passed to `forward` before.
        TypeError, ValueError
            If `upstream` or `out` does not fit.
        """
        cdef cnp.ndarray kept = self._kept
        if kept is None:
            self.check_made()
            raise RuntimeError("backward was called before forward")
        check_accumulate(out, {"accumulate": accumulate})
        name = self._table.data
        if np.ndim(upstream):
            if self._reduction != NONE:
                raise ValueError("upstream is an array of one number for each loss; expected a "
                                 "scalar with any reduction but 'none'")
            factor = self.each_upstream(upstream)
        else:
            factor = _check.number("upstream", upstream)
        if out is None and type(factor) is float and <double>factor == 1:
            return kept
        if out is not None and cnp.PyArray_Check(out):
            check_disjoint(out, kept, "the gradient that forward keeps")
        grad = output_array(out, kept, None, name)
        scale_gradient(grad, kept, factor, bool(accumulate))
        return grad

    cdef object each_upstream(self, object upstream):
        """One number for each loss, as float64 of a shape that broadcasts to the gradient's."""
        cdef int axis = normalize_axis(self._axis, cnp.PyArray_NDIM(self._kept), "logits")
        shape = (<object>self._kept).shape
        rows = shape[:axis] + shape[axis + 1:]
        return np.expand_dims(_check.per_row("upstream", upstream, rows), axis)

    cdef tuple fused(self, object logits, object target, object out, dict call_options):
        """Loss and gradient of `value_and_grad`."""
        if not call_options:
            return self.run(logits, target, out, True, None)
        self.check_call(call_options, out, True)
        return self.run(logits, target, out, True, call_options)

    cdef object gradient(self, object logits, object target, object out, dict call_options):
        """The gradient alone."""
        if "return_aux" in call_options:
            raise TypeError("'return_aux' is not an option of grad; expected it with "
                            "value_and_grad")
        return self.fused(logits, target, out, call_options)[1]

    cdef int check_call(self, dict call_options, object out, bint gradient) except -1:
        self.check_made()
        for name in call_options:
            if name not in self._table.of_calls:
                raise self._table.refuse(name)
        if gradient:
            check_accumulate(out, call_options)
        return 0


cdef object float64(double value):
    """As np.float64: a float that also has a shape, a dtype and `item`."""
    return PyArray_Scalar(&value, FLOAT64, None)


cdef int scale_gradient(object to, object kept, object factor, bint add) except -1:
    """to = factor * kept, or that added to it; in float64, rounded once. Entries that are 0 stay 0,
    also those of rows that take no part and whose factor is NaN."""
    with np.errstate(all="ignore"):
        product = np.multiply(kept, factor, dtype=np.float64, casting="unsafe",
                              where=kept != 0, out=np.zeros(kept.shape))
        if add:
            product += to
        np.copyto(to, product, casting="unsafe")
    return 0


cdef int refuse_more(_Loss loss, tuple more) except -1:
    """More arguments by position than data and target."""
    if more:
        raise _errors.positional(f"a call of {type(loss).__name__}", more[0])
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

    cdef int refuse_more(self, tuple more, str suffix="") except -1:
        """More arguments by position than data and target."""
        raise _errors.positional(self.table.function + suffix, more[0])

    cdef tuple run(self, object logits, object target, object out, bint gradient, dict options,
                   str suffix=""):
        """A loss function's options: some make the object, some belong to the call. The function's
        name ends in `suffix`."""
        cdef dict extra = None
        cdef dict of_class = options
        for name in options:
            if name in self.of_calls:
                extra = {}
            elif name not in self.of_class:
                raise self.table.unknown(name, self.table.function + suffix)
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

    cdef object gradient(self, object logits, object target, object out, dict options):
        """What a function whose name ends in "_grad" returns."""
        if "return_aux" in options:
            raise TypeError(f"'return_aux' is not an option of {self.table.function}_grad; expected "
                            f"it with {self.table.function}_value_and_grad")
        return self.run(logits, target, out, True, options, "_grad")[1]


cdef object value_of(tuple result):
    """What a function that returns no gradient returns of a run."""
    return result[0] if len(result) == 2 else (result[0], result[2])
