"""Optimizers: given the slope at every parameter, where to step next.

    optimizer = bh.optim.Adam(model.parameters(), lr=0.001)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()

They know only parameters and gradients: nothing of networks, losses or data.
"""

from byhand.optim.algorithms import SGD, Adagrad, Adam, AdamW, Momentum, Nesterov, RMSprop
from byhand.optim.groups import Group
from byhand.optim.optimizer import Optimizer

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Group", "Momentum", "Nesterov", "Optimizer", "RMSprop"]
