"""What a recurrent model needs in addition to its graph: hidden states, a topic for them, and fitting settings."""

from collections.abc import Callable, Iterator

from worker.domain.clips import Slots
from worker.domain.errors import SettingsError
from worker.domain.sequences import SequenceRules
from worker.models.loaded import LoadedModel
from worker.settings import Limits, SamplingGroup, Topics
from worker.state.hidden import HiddenStates


def hidden_states_for(model: LoadedModel, sampling: SamplingGroup, limits: Limits) -> Callable[[], HiddenStates] | None:
    """Return what makes the hidden states of a partition; None if the model is not recurrent."""
    recurrent = model.recurrent
    if recurrent is None:
        return None
    rate = rate_for(model, sampling)
    rules = SequenceRules(recurrent.recurrence.silence_ms, Slots(rate) if rate else None, limits.max_states)
    return lambda: HiddenStates(model.identity, recurrent, rules, model.task.judge)


def rate_for(model: LoadedModel, sampling: SamplingGroup) -> float | None:
    """Return the frames a second that a model of single frames sees; None if it sees all."""
    return sampling.rate or (model.recurrent.recurrence.rate if model.recurrent else None)


def check_topics(model: LoadedModel, topics: Topics) -> None:
    """Check that a model's topics are set, and that none is set which it cannot fill.

    Raises:
        SettingsError: they do not fit.
    """
    if model.recurrent is not None and (faults := list(_contradictions(topics))):
        raise SettingsError(faults)


def _contradictions(topics: Topics) -> Iterator[str]:
    if topics.state is None:
        yield (
            "topics.state is not set: a recurrent model saves its hidden states there; set it, such as topics.state: "
            "state, and run vision-worker topics apply, which creates it"
        )
    if topics.annotated is not None:
        yield (
            "topics.annotated: a recurrent model's classes are known after the picture is gone; leave it out, and draw "
            "them with vision-worker render"
        )
