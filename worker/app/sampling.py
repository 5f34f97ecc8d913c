"""Which sampler and which load policy the settings ask for, for what a model sees."""

import math
from collections.abc import Callable, Iterator

from worker.app.compose import Sampling
from worker.app.recurrent import rate_for
from worker.domain.clips import ClipShape
from worker.domain.errors import SettingsError
from worker.models.loaded import LoadedModel
from worker.ports import LoadPolicy, Prepare
from worker.sampling.at_rate import AtRate
from worker.sampling.by_camera import ByCamera, Track
from worker.sampling.clips import ClipRules, ClipTrack
from worker.sampling.frame_values import ValueRules, ValueTrack
from worker.sampling.load import EveryNth, LatestPerCamera, SkipOlderThan
from worker.settings import ModelGroup, SamplingGroup, WindowGroup


def sampling_for(
    model: LoadedModel, group: ModelGroup, sampling: SamplingGroup, window: WindowGroup, *, live: bool
) -> Sampling:
    """Return how frames become samples for a loaded model; see `sampling_of`.

    Raises:
        SettingsError: the settings do not fit what the model sees.
    """
    return sampling_of(
        sampling,
        model.clip,
        rate=rate_for(model, sampling),
        engine=group.engine_or_eager,
        frame_shape=model.frame_shape,
        lateness=window.lateness_ms,
        live=live,
    )


def sampling_of(
    group: SamplingGroup,
    clip: ClipShape | None,
    *,
    engine: str,
    frame_shape: tuple[int, int, int],
    lateness: int,
    live: bool,
    rate: float | None = None,
) -> Sampling:
    """Return how frames become samples.

    Args:
        group: the settings.
        clip: what the model sees together; None for a model of single frames.
        engine: runs the model.
        frame_shape: of a prepared picture, (height, width, channels).
        lateness: milliseconds of capture time for which an earlier frame is waited for.
        live: frames come from cameras. From files, neither a camera's silence nor a frame's age means anything.
        rate: frames a second that a model of single frames sees, if the settings do not say; None for all.

    Raises:
        SettingsError: the settings do not fit what the model sees.
    """
    if faults := list(_contradictions(group, clip, engine)):
        raise SettingsError(faults)
    make_policy = _policy(group) if live else None
    if clip is None:
        rate = group.rate or rate
        return Sampling(lambda _: AtRate(rate), make_policy) if rate else Sampling(make_policy=make_policy)
    rules = _clip_rules(group, clip) if clip.middle is None else _value_rules(group, clip, clip.middle)
    idle = group.idle_ms / 1000 if live else math.inf
    size = math.prod(frame_shape)

    def make_sampler(prepare: Prepare) -> ByCamera:
        def make_track() -> Track:
            return ClipTrack(rules, prepare) if isinstance(rules, ClipRules) else ValueTrack(rules, prepare)

        return ByCamera(make_track, lateness=lateness, idle=idle, picture_bytes=size)

    return Sampling(make_sampler, make_policy)


def _clip_rules(group: SamplingGroup, clip: ClipShape) -> ClipRules:
    return ClipRules(
        frames=clip.frames,
        rate=group.rate or clip.rate,
        stride=group.stride or clip.frames,
        gap=group.gap,
        least=group.least_frames or (clip.frames + 1) // 2,
        label=group.clip_label,
    )


def _value_rules(group: SamplingGroup, clip: ClipShape, middle: int) -> ValueRules:
    return ValueRules(clip.frames, middle, segment=(group.rate or clip.rate) / middle, rate=group.rate)


def _policy(group: SamplingGroup) -> Callable[[], LoadPolicy] | None:
    match group.on_lag:
        case "skip_older_than":
            return lambda: SkipOlderThan(group.max_age_ms / 1000)
        case "latest_per_camera":
            return LatestPerCamera
        case "every_nth":
            return lambda: EveryNth(group.nth)
        case _:
            return None


def _contradictions(group: SamplingGroup, clip: ClipShape | None, engine: str) -> Iterator[str]:
    """Find settings that do not fit the model, and say what to do."""
    chosen = group.model_fields_set
    for_clips = {"stride", "gap", "least_frames", "clip_label"} & chosen
    if for_clips and (clip is None or clip.middle is not None):
        names = ", ".join(f"sampling.{name}" for name in sorted(for_clips))
        yield f"{names}: only for models of the task clip, which the model is not; leave them out"
    if clip is None or clip.middle is not None:
        return
    if group.least_frames is not None and group.least_frames > clip.frames:
        yield f"sampling.least_frames is {group.least_frames}: a clip of this model has {clip.frames} frames"
    if group.gap == "shorten" and engine != "eager":
        yield f"sampling.gap shorten: engine {engine} takes clips of one length; set engine: eager, or gap: repeat"
