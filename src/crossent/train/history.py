"""What a training tells: its history, its progress bar, why it stopped."""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field

from .. import _errors


class DivergenceError(ArithmeticError):
    """The loss or its gradient stopped being finite; the message names the step.

    The parameters are those after the last good step.

    Examples
    --------
    >>> from crossent.train import SGD, DivergenceError, Network
    >>> X, y = np.ones((8, 2), np.float32), np.array([0, 1] * 4)
    >>> try:
    ...     history = Network.create([2, 2], seed=0).fit(X, y, optimizer=SGD(1e38), batch_size=3)
    ... except DivergenceError:
    ...     print("a smaller learning rate may help")
    a smaller learning rate may help
    """


def training_stopped(name, row, what, step, dtype):
    """The exception for a step that could not be done; `name` is the data's, `row` the bad one,
    whose numbers became `dtype`."""
    left = f"the parameters are those after step {step - 1}" if step > 1 else "nothing was changed"
    if row is not None:
        return ValueError(
            f"{name}[{row}] holds NaN or infinity (found in step {step}); expected finite numbers "
            f"of {dtype}; {left}"
        )
    return DivergenceError(
        f"the {what} of step {step} is not finite; {left}. "
        "A smaller learning rate or clip= may help"
    )


@dataclass(repr=False)
class History:
    """What happened, one number an epoch: lists named after the columns.

    Attributes
    ----------
    loss, accuracy : list of float
        Means over the rows of the epoch, each as the network was when its batch came. For a
        sigmoid the accuracy counts answers: one for each output that the loss does not ignore.
    lr, seconds : list of float
        Learning rate of the epoch's last step; time of the epoch.
    val_loss, val_accuracy : list of float
        On the validation set at the end of the epoch; empty without one.
    best_epoch : int
        Index of the epoch with the least validation loss (-1 without one).

    Examples
    --------
    >>> from crossent.train import Network
    >>> X, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
    >>> history = Network.create([4, 2], seed=0).fit(X, y, epochs=3)
    >>> len(history.loss), len(history.val_loss), history.best_epoch
    (3, 0, -1)
    """

    loss: list = field(default_factory=list)
    accuracy: list = field(default_factory=list)
    lr: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    val_loss: list = field(default_factory=list)
    val_accuracy: list = field(default_factory=list)
    best_epoch: int = -1

    def __repr__(self):
        parts = [f"{len(self.loss)} epoch{'s' * (len(self.loss) != 1)}"]
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            values = getattr(self, name)
            parts += [f"{name} {values[-1]:.4g}"] if values else []
        parts += [f"best epoch {self.best_epoch}"] if self.best_epoch >= 0 else []
        return f"<crossent.train.History: {', '.join(parts)}>"

    def plot(self, axes=None):
        """Draws the losses against the epoch with matplotlib, and shows the picture.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
            Where to draw; without one a new figure is made and shown, in a notebook as in a script.

        Returns
        -------
        matplotlib.axes.Axes
            ``history.plot().figure.savefig("loss.png")`` keeps the picture.

        Raises
        ------
        ModuleNotFoundError
            Without matplotlib, which the extra `plot` installs.
        """
        own = axes is None
        if own:
            try:
                from matplotlib import pyplot
            except ImportError:
                raise _errors.missing_package("matplotlib", "History.plot", "plot") from None
            axes = pyplot.subplots(layout="constrained")[1]
        epochs = range(1, len(self.loss) + 1)
        axes.plot(epochs, self.loss, label="training")
        if self.val_loss:
            axes.plot(epochs, self.val_loss, label="validation")
        axes.set(xlabel="epoch", ylabel="mean loss", yscale="log")
        axes.legend()
        if own:
            with warnings.catch_warnings():  # without a screen there is nothing to show
                warnings.filterwarnings("ignore", ".*non-interactive", UserWarning)
                pyplot.show()
        return axes


class _Bar:
    """A tqdm bar over epochs, whose text follows the rows inside one."""

    def __init__(self, tqdm):
        self.tqdm = tqdm

    def rows(self, done):
        self.tqdm.set_postfix_str(f"{done} rows", refresh=False)
        self.tqdm.update(0)

    def epoch(self, history):
        self.tqdm.set_postfix(loss=f"{history.loss[-1]:.4g}", refresh=False)
        self.tqdm.update(1)


@contextmanager
def progress_bar(wanted, epochs):
    if not wanted:
        yield None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise _errors.missing_package("tqdm", "progress=True", "train") from None
    with tqdm(total=epochs, unit="epoch") as bar:
        yield _Bar(bar)
