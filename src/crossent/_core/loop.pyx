"""The mini-batch loop of csrc/include/train.h. `crossent.train` checks the arguments and allocates the
arrays; here they become pointers, and stay referenced as long as C may read them."""
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.math cimport INFINITY, NAN
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from crossent._core.arrays cimport *
from crossent._core.loss cimport *
from crossent._core.sigmoid cimport SigmoidCrossEntropy, _BinaryLoss
from crossent._core.softmax cimport SoftmaxCrossEntropy
from crossent._core.training cimport *

import numpy as np

from .. import _check, _errors

cnp.import_array()

cdef enum:
    SLICES_PER_SECOND = 20    # how often the loop looks for Ctrl-C

# In the order of csrc/include/train.h.
ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid", "gelu")
SAMPLINGS = ("all", "over", "under", "balanced")


cdef void *_blas_function(str name) except NULL:
    """A function of SciPy's BLAS. Its capsule is named after the C signature."""
    from scipy.linalg import cython_blas
    capsule = cython_blas.__pyx_capi__[name]
    if b"int *, int *, int *" not in PyCapsule_GetName(capsule):
        raise ImportError(f"SciPy's {name} takes no 32-bit integers: "
                          f"{PyCapsule_GetName(capsule).decode()}")
    return PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))


def _scaling_of(_Loss loss):
    """What the loss does to logits first: (temperature, softcap), each a number or None."""
    loss.check_made()
    if isinstance(loss, SigmoidCrossEntropy):
        return None, None
    return loss._given.get("temperature"), loss._given.get("softcap")


cdef int find_blas(matrix_blas *blas) except -1:
    """Fills in SciPy's BLAS; without SciPy our own kernels do, more slowly."""
    try:
        blas.sgemm, blas.dgemm = _blas_function("sgemm"), _blas_function("dgemm")
    except ImportError:
        blas.sgemm = blas.dgemm = NULL
    return 0


cdef object _pos_weights(object value, Py_ssize_t outputs):
    """One for each output."""
    try:
        return np.array(np.broadcast_to(value, (outputs,)), np.float64)
    except ValueError:
        raise ValueError(f"pos_weight has shape {np.shape(value)}; expected one number, or one for "
                         f"each of the {outputs} outputs") from None


cdef int _loss_template(object loss, Py_ssize_t classes, train_loss *to, dict held) except -1:
    """The call of a loss object with its options set, rows and arrays still empty. `held` keeps the
    arrays it points to: the object lets go of them when somebody calls its __init__ again."""
    (<_Loss>loss).check_made()
    memset(to, 0, sizeof(train_loss))
    to.elementwise = isinstance(loss, SigmoidCrossEntropy)
    if to.elementwise:
        to.sigmoid = (<_BinaryLoss>loss)._template
        to.plain = (<_BinaryLoss>loss)._plain
        held["options"] = (<_BinaryLoss>loss)._ignore
        if (<_BinaryLoss>loss)._pos_weight is not None:
            pos_weight = _pos_weights((<_BinaryLoss>loss)._pos_weight, classes)
            held["pos_weight"] = pos_weight
            to.sigmoid.pos_weight.data = <char *>address(pos_weight)
            to.sigmoid.pos_weight.dtype = CROSSENT_F64
            to.sigmoid.pos_weight.step = sizeof(double)
    else:
        held["options"] = (<SoftmaxCrossEntropy>loss).prepare(&to.softmax, classes)
        if (<SoftmaxCrossEntropy>loss)._class_mask is not None:
            raise ValueError("loss has class_mask, which belongs to the rows of one call; expected "
                             "a loss without it")
        if (<_Loss>loss)._axis != -1:
            raise ValueError(f"loss has axis {(<_Loss>loss)._axis}; expected -1")
    if (<_Loss>loss)._reduction != MEAN:
        raise ValueError("loss has another reduction than 'mean'; the loop minimises the mean over "
                         "the rows of a step")
    normalizer = (<_Loss>loss)._normalizer
    if normalizer is None or isinstance(normalizer, str):
        to.divisor = <train_divisor><int>_check.one_of("normalizer", normalizer or "weight",
                                           ("weight", "valid", "batch"))
    else:
        to.divisor, to.number = TRAIN_NUMBER, normalizer
    return 0


cdef class _Loop:
    """One network bound to data, loss and optimiser.

    `layers` lists (weight, bias, activation, dropout, gradients, moments): the last two are pairs
    for weight and bias, each moment None or up to two arrays.
    """
    cdef train_run run
    cdef train_chunk *chunks
    cdef object held, target

    def __cinit__(self):
        memset(&self.run, 0, sizeof(self.run))
        self.chunks = NULL

    def __dealloc__(self):
        train_work_free(self.run.work)
        free(self.run.net.layer)
        free(self.chunks)

    def __init__(self, list layers, size_t batch, threads):
        cdef size_t l
        cdef train_layer *layer
        self.held = {"layers": layers}
        self.run.net.layers = len(layers)
        self.run.net.layer = <train_layer *>calloc(len(layers), sizeof(train_layer))
        if self.run.net.layer == NULL:
            raise MemoryError("crossent: no memory for the layers")
        self.run.net.dtype = dtype_of(layers[0][0])
        self.run.net.threads = _check.threads("threads", threads)
        self.run.batch = batch
        self.run.accumulate = 1
        self.run.clip = INFINITY
        for l in range(len(layers)):
            layer = &self.run.net.layer[l]
            weight, bias, activation, dropout, grads, moments = layers[l]
            layer.inputs, layer.out = weight.shape
            layer.activation = <train_activation><int>ACTIVATIONS.index(activation)
            layer.dropout = dropout
            layer.weight = address(weight)
            layer.bias = address(bias)
            layer.weight_grad = address(grads[0])
            layer.bias_grad = address(grads[1])
            for i in range(2):
                layer.weight_state[i] = address(moments[0][i])
                layer.bias_state[i] = address(moments[1][i])

    def prepare(self):
        """Allocates the workspace; True if BLAS is in use, which must then keep to one thread."""
        if train_suits_blas(&self.run.net, self.run.batch):
            find_blas(&self.run.net.blas)
        self.run.work = train_work_new(&self.run.net, self.run.batch)
        if self.run.work == NULL:
            raise MemoryError("crossent: no memory for the activations of a batch")
        return self.run.net.blas.sgemm != NULL

    def bind(self, list chunks, target, sample_weight, loss, class_weight, names=("X", "y")):
        """Rows of `chunks`, contiguous `target` or None, weights of double or None; `names` are
        those of the arguments that the rows and the target came by."""
        cdef size_t i, begin = 0
        cdef cnp.ndarray array
        self.held.update(chunks=chunks, weight=sample_weight, class_weight=class_weight, loss=loss,
                         names=names)
        self.target = target
        free(self.chunks)
        self.chunks = <train_chunk *>calloc(len(chunks), sizeof(train_chunk))
        if self.chunks == NULL:
            raise MemoryError("crossent: no memory for the chunks")
        for i in range(len(chunks)):
            array = chunks[i]
            self.chunks[i].data = <char *>cnp.PyArray_DATA(array)
            self.chunks[i].stride = cnp.PyArray_STRIDE(array, 0)
            self.chunks[i].step = cnp.PyArray_STRIDE(array, 1)
            self.chunks[i].begin = begin
            self.chunks[i].dtype = dtype_of(array)
            self.chunks[i].swapped = not cnp.PyArray_ISNOTSWAPPED(array)
            self.chunks[i].converts = (self.chunks[i].dtype != self.run.net.dtype
                                       or not cnp.PyArray_ISBEHAVED_RO(array))
            begin += cnp.PyArray_DIM(array, 0)
        self.run.data.rows = begin
        self.run.data.chunks = len(chunks)
        self.run.data.chunk = self.chunks
        self.run.data.target = <char *>address(target)
        if target is not None:
            self.run.data.target_dtype = dtype_of(target)
            self.run.data.target_columns = target.shape[1] if target.ndim == 2 else 0
            _loss_template(loss, self.outputs(), &self.run.loss, self.held)
            if self.run.loss.softmax.ignored and self.run.data.target_columns:
                raise _errors.ignored_probabilities(names[1])
        self.run.data.weight = <double *>address(sample_weight)
        if class_weight is not None:
            self.run.loss.class_weight = <double *>address(class_weight)
            self.run.loss.classes = len(class_weight)
            if self.run.loss.softmax.class_weight != NULL:
                raise ValueError("class_weight is given twice, in loss and as an argument")
            self.run.loss.softmax.class_weight = <double *>address(class_weight)

    def optimize(self, optimizer, uint64_t step, uint64_t seed, size_t accumulate):
        cdef train_update *u = &self.run.update
        u.optimizer = TRAIN_ADAM if optimizer.moments == 2 else TRAIN_SGD
        u.l2, u.l1, u.decay = optimizer.l2, optimizer.l1, optimizer.weight_decay
        u.momentum, u.nesterov = optimizer.momentum, optimizer.nesterov
        u.beta1, u.beta2, u.epsilon = optimizer.beta1, optimizer.beta2, optimizer.epsilon or 0.0
        self.run.clip = INFINITY if optimizer.clip is None else optimizer.clip
        self.run.step, self.run.seed, self.run.accumulate = step, seed, accumulate

    def order(self, str sampling, size_t classes, uint64_t epoch, bint shuffle):
        """Draws the rows of an epoch; returns how many there are, 0 where a class has none."""
        cdef train_sampling how = <train_sampling><int>SAMPLINGS.index(sampling)
        cdef size_t length = 0
        cdef int status
        with nogil:
            status = train_order_length(&self.run.data, how, classes, &length)
        self.check(status)
        cdef cnp.ndarray order = np.empty(length, np.uintp)
        self.held["order"] = order
        self.run.order = <size_t *>cnp.PyArray_DATA(order)
        self.run.length = length
        self.run.position = 0
        if length:
            with nogil:
                status = train_order(self.run.order, length, &self.run.data, how, classes,
                                     self.run.seed, epoch, shuffle)
            if status == TRAIN_EMPTY_CLASS:
                return 0
            self.check(status)
        return length

    def epoch(self, cnp.ndarray rates, size_t length, progress):
        """Runs the first `length` rows of the order; calls `progress(rows done)` now and then."""
        self.held["rates"] = rates
        self.run.rates = <double *>cnp.PyArray_DATA(rates)
        self.run.length = length
        self.go_on(progress)

    def gradients(self):
        """Gradients of the mean loss of all rows of the order."""
        self.run.rates = NULL
        self.run.batch = self.run.length
        self.go_on(None)

    cdef int go_on(self, progress) except -1:
        cdef int status = 0
        memset(&self.run.sums, 0, sizeof(self.run.sums))
        memset(&self.run.of_step, 0, sizeof(self.run.of_step))
        self.run.done = 0
        while self.run.position < self.run.length and status == 0:
            with nogil:
                status = train_batches(&self.run, 1.0 / SLICES_PER_SECOND)
            PyErr_CheckSignals()
            if progress is not None:
                progress(self.run.position + self.run.done)
        return self.check(status)

    def evaluate(self, cnp.ndarray out):
        """All rows, part by part: logits to `out` if given, loss to the sums if there is y."""
        cdef void *to = address(out)
        cdef int status = 0
        memset(&self.run.sums, 0, sizeof(self.run.sums))
        self.run.position = 0
        while self.run.position < self.run.data.rows and status == 0:
            with nogil:
                status = train_evaluate(&self.run, to)
            PyErr_CheckSignals()
        self.check(status)

    def _order_of_rows(self):
        """The rows of the epoch, in the order they are taken."""
        return self.held["order"]

    @property
    def rows(self):
        return self.run.data.rows

    @property
    def step(self):
        return self.run.step

    @property
    def mean_loss(self):
        return self.run.sums.loss / self.run.sums.divisor if self.run.sums.divisor else NAN

    @property
    def accuracy(self):
        cdef train_sums *sums = &self.run.sums
        return sums.correct / <double>sums.answers if sums.answers else NAN

    cdef int check(self, int status) except -1:
        if status >= TRAIN_BAD_ROW:
            from ..train.history import training_stopped
            raise training_stopped(
                self.held["names"][0], self.run.fault_row if status == TRAIN_BAD_ROW else None,
                "gradient" if status == TRAIN_BAD_GRADIENT else "loss", self.run.step + 1,
                "float64" if self.run.net.dtype == CROSSENT_F64 else "float32")
        if status == CROSSENT_OK:
            return 0
        found = _errors.Found(target=self.held["names"][1], labels=self.target,
                              elementwise=self.run.loss.elementwise, row=self.run.fault_row,
                              classes=self.outputs())
        if found.elementwise and status == CROSSENT_BAD_LABEL:
            found.shape, found.value = self.target.shape[:1], self.target[found.row]
        return refuse(status, found)

    cdef Py_ssize_t outputs(self) noexcept:
        return self.run.net.layer[self.run.net.layers - 1].out
