# What `_linear.py` needs of a loss before it has any logits.


def _mean_divisor(SoftmaxCrossEntropy loss, cnp.ndarray target, Py_ssize_t classes,
                  cnp.ndarray sample_weight):
    """What the mean over all rows of `target` divides by: (rows,) labels or (rows, classes)."""
    cdef crossent_softmax call
    cdef bint labels = not holds_numbers(target)
    loss.prepare(&call, classes)
    call.ndim = 1
    call.rows = cnp.PyArray_DIM(target, 0)
    call.shape[0] = call.rows
    call.classes = classes
    call.logits.dtype = CROSSENT_F64
    view(&call.target, target, -1 if labels else 1)
    if sample_weight is not None:
        view(&call.sample_weight, sample_weight, -1)
    return loss.weigh(&call, target, None)


def _ignored_labels(SoftmaxCrossEntropy loss):
    return loss._ignore


def _reduced(_Loss loss, double total, double divisor):
    return loss.reduced(total, divisor)
