"""Networks as the compiled kernels run them: a whole step of training, or an answer, in one call.

`writing` writes a network down as a table, `learner` trains by it, and `predictor` answers by it. All of them return
None for a network or a situation that the table cannot hold; then the layers run one by one, as they are written.
"""

from byhand.compiled.learner import Learner, learner
from byhand.compiled.predictor import Predictor, predictor

__all__ = ["Learner", "Predictor", "learner", "predictor"]
