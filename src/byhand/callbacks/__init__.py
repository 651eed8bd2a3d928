"""What happens around the training loop: records, progress, stopping, saving, the learning rate.

The loop itself (`byhand.train`) only learns. Everything else listens: a callback is told when training begins, before
each update (when the gradients of a batch are known) and after it, at the end of each epoch, and when training ends. It
sees the whole state of the run, and may change the optimizer's learning rate or end the run by setting `run.stopped` to
the reason.
"""

from byhand.callbacks.batches import BatchLosses
from byhand.callbacks.checkpoint import Checkpoint
from byhand.callbacks.faults import StopOnNaN
from byhand.callbacks.improving import EarlyStopping, ReduceOnPlateau, Schedule
from byhand.callbacks.run import Callback, Run, State, check_callbacks, listening
from byhand.history import Epoch, History

__all__ = ["BatchLosses", "Callback", "Checkpoint", "EarlyStopping", "Epoch", "History", "ReduceOnPlateau", "Run",
           "Schedule", "State", "StopOnNaN", "check_callbacks", "listening"]
