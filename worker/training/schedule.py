"""How fast a network learns, step by step: the optimizer, and its learning rate over time."""

from collections.abc import Iterable
from typing import Final

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR, StepLR

from worker.training.options import OptimizerName, ScheduleName

USUAL_RATES: Final = {"adamw": 1e-3, "sgd": 1e-2}
"""By optimizer, a learning rate that suits most networks."""
USUAL_DECAYS: Final = {"adamw": 1e-2, "sgd": 1e-4}
_FIRST: Final = 0.01
"""Where the warm-up begins, as a factor of the highest rate."""
_STEPS_DOWN: Final = 3
"""A `step` schedule divides the rate by ten at each of this many equal parts but the first."""


def make_optimizer(
    name: OptimizerName, weights: Iterable[nn.Parameter], *, learning_rate: float | None, weight_decay: float | None
) -> Optimizer:
    """Return the optimizer of the weights that are trained; None takes the usual values."""
    trained = [each for each in weights if each.requires_grad]
    rate = USUAL_RATES[name] if learning_rate is None else learning_rate
    decay = USUAL_DECAYS[name] if weight_decay is None else weight_decay
    if name == "sgd":
        return SGD(trained, lr=rate, momentum=0.9, nesterov=True, weight_decay=decay)
    return AdamW(trained, lr=rate, weight_decay=decay)


def make_schedule(name: ScheduleName, optimizer: Optimizer, *, steps: int, warmup: int) -> LRScheduler:
    """Return the schedule, which is stepped after each batch.

    Args:
        name: `cosine` falls to 0, `step` to a tenth at each third, `constant` stays.
        optimizer: whose rate is changed.
        steps: of the whole training, at least 1.
        warmup: steps in which the rate rises to its highest; fewer than `steps`.
    """
    rest = max(1, steps - warmup)
    main: LRScheduler
    if name == "cosine":
        main = CosineAnnealingLR(optimizer, rest)
    elif name == "step":
        main = StepLR(optimizer, max(1, -(-rest // _STEPS_DOWN)))
    else:
        main = ConstantLR(optimizer, factor=1.0)
    if warmup == 0:
        return main
    return SequentialLR(optimizer, [LinearLR(optimizer, _FIRST, total_iters=warmup), main], milestones=[warmup])
