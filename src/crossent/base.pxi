# What all losses share: options, reductions, statuses, the object with forward and backward.

cdef enum:
    MEAN
    SUM
    NONE

CALL_OPTIONS = frozenset(("sample_weight", "class_mask", "upstream", "accumulate", "return_aux"))


cdef int parse_axis(object axis) except? -1:
    return _check.whole("axis", axis, -64, 63)


cdef double optional(str name, object value) except? -1:
    """A positive number, or 0 for None."""
    return 0 if value is None else _check.number(name, value, 1e-30, 1e30)


cdef dict known_options(dict options, dict defaults, str name):
    """The defaults, replaced by what is given."""
    for option in options:
        if option not in defaults:
            raise _errors.unknown_option(option, name, defaults, CALL_OPTIONS)
    return {**defaults, **options}


cdef object parse_normalizer(object value, int reduction):
    if value is None:
        return None
    if reduction != MEAN:
        raise ValueError("normalizer replaces the divisor of a mean; expected reduction='mean' "
                         "with it")
    if isinstance(value, str):
        _check.one_of("normalizer", value, ("valid", "weight", "batch"))
        return value
    return _check.positive("normalizer", value)


cdef class _Loss:
    """What all losses share: options parsed once, forward, backward and both in one pass."""
    cdef int _axis
    cdef int _reduction
    cdef int _threads
    cdef int _empty
    cdef int _nonfinite
    cdef object _normalizer
    cdef dict _options
    cdef tuple _saved
    cdef dict _saved_extra

    cdef int parse_common(self, dict options, dict given) except -1:
        self._options = options
        self._reduction = _check.one_of("reduction", given["reduction"], ("mean", "sum", "none"))
        self._normalizer = parse_normalizer(given["normalizer"], self._reduction)
        self._empty = _check.one_of("empty", given["empty"], ("nan", "zero", "raise"))
        self._nonfinite = _check.one_of("nonfinite", given["nonfinite"],
                                 ("propagate", "zero", "raise", "warn"))
        self._threads = _check.threads("threads", given["threads"])
        return 0

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
        if not extra or extra.get("upstream") is None or np.ndim(extra["upstream"]):
            return 1
        return _check.number("upstream", extra["upstream"])

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
        options = ", ".join(f"{name}={value!r}" for name, value in self._options.items())
        return f"crossent.{type(self).__name__}({options})"

    def __reduce__(self):
        return _rebuild, (type(self), self._options)

    def __call__(self, logits, target, **call_options):
        """The same as `forward`."""
        return self.forward(logits, target, **call_options)

    def forward(self, logits, target, **call_options):
        """The loss; keeps references to its arguments for `backward`.

        The arrays are not copied: they must not change before `backward` is called.

        Parameters
        ----------
        logits, target
            As for the function of the same loss.
        **call_options
            Options that belong to a call, such as `sample_weight`; the class names them.

        Returns
        -------
        loss : float, or ndarray with ``reduction="none"``
        aux : dict, only with `return_aux`
        """
        check_call_options(call_options)
        result = self.run(logits, target, None, False, call_options)
        self._saved = (logits, target)
        self._saved_extra = call_options
        return result[0] if len(result) == 2 else (result[0], result[2])

    def backward(self, upstream=1.0, *, out=None, accumulate=False):
        """Gradient with respect to the logits of the last `forward`.

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

    def value_and_grad(self, logits, target, *, out=None, **call_options):
        """Loss and gradient in one pass; leaves what `forward` keeps as it is.

        Parameters
        ----------
        logits, target
            As for the function of the same loss.
        out : ndarray of the logits' shape and dtype, optional
            Receives the gradient. May be the logits themselves.
        **call_options
            Options that belong to a call, such as `sample_weight`; the class names them.

        Returns
        -------
        loss : float, or ndarray with ``reduction="none"``
        grad : ndarray of the logits' shape and dtype
        aux : dict, only with `return_aux`
        """
        if call_options:
            check_call_options(call_options)
            check_accumulate(out, call_options)
            return self.run(logits, target, out, True, call_options)
        return self.run(logits, target, out, True, None)


def _rebuild(cls, options):
    return cls(**options)


cdef int check_call_options(dict options) except -1:
    for name in options:
        if name not in CALL_OPTIONS:
            raise TypeError(f"{name!r} is not an option of a call; expected "
                            f"{', '.join(sorted(CALL_OPTIONS))}; all others are of the class")
    return 0


cdef int check_accumulate(object out, dict options) except -1:
    if out is None and options.get("accumulate"):
        raise ValueError("accumulate=True adds to out, but out is None; expected an array")
    return 0


cdef tuple run_options(type cls, object logits, object target, object out, bint gradient,
                       dict options):
    """A loss function's options: some make the object, some belong to the call."""
    cdef dict extra = {}
    for name in CALL_OPTIONS:
        if name in options:
            extra[name] = options.pop(name)
    if gradient:
        check_accumulate(out, extra)
    return (<_Loss>cls(**options)).run(logits, target, out, gradient, extra)


cdef object value_of(tuple result):
    """What a function that returns no gradient returns of a run."""
    return result[0] if len(result) == 2 else (result[0], result[2])
