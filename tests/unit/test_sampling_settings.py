"""From the settings and what a model sees to the sampler and the load policy."""

import pytest

from worker.app.compose import Sampling
from worker.app.sampling import sampling_of
from worker.domain.clips import ClipShape
from worker.domain.errors import SettingsError
from worker.sampling.at_rate import AtRate
from worker.sampling.by_camera import ByCamera
from worker.sampling.every_frame import EveryFrame
from worker.sampling.load import EveryNth, LatestPerCamera, SkipOlderThan
from worker.settings import SamplingGroup

CLIP, VALUES = ClipShape(16, 15.0), ClipShape(100, 25.0, middle=50)


def sampling(
    group: SamplingGroup, clip: ClipShape | None = None, *, engine: str = "eager", live: bool = True
) -> Sampling:
    return sampling_of(group, clip, engine=engine, frame_shape=(8, 8, 3), lateness=200, live=live)


@pytest.mark.parametrize(
    ("group", "clip", "kind"),
    [
        (SamplingGroup(), None, EveryFrame),
        (SamplingGroup(rate=5.0), None, AtRate),
        (SamplingGroup(), CLIP, ByCamera),
        (SamplingGroup(rate=5.0), VALUES, ByCamera),
    ],
)
def test_the_sampler_follows_from_what_the_model_sees(
    group: SamplingGroup, clip: ClipShape | None, kind: type[object]
) -> None:
    assert type(sampling(group, clip).make_sampler(lambda _: pytest.fail("nothing is prepared yet"))) is kind


@pytest.mark.parametrize(
    ("on_lag", "kind"),
    [
        ("process_all", None),
        ("skip_older_than", SkipOlderThan),
        ("latest_per_camera", LatestPerCamera),
        ("every_nth", EveryNth),
    ],
)
def test_each_value_of_on_lag_has_its_policy_but_not_for_files(on_lag: str, kind: type[object] | None) -> None:
    group = SamplingGroup.model_validate({"on_lag": on_lag})
    make_policy = sampling(group).make_policy
    assert (type(make_policy()) if make_policy else None) is kind
    assert sampling(group, live=False).make_policy is None


@pytest.mark.parametrize(
    ("group", "clip", "engine", "fault"),
    [
        (SamplingGroup(stride=2), None, "eager", "sampling.stride: only for models of the task clip"),
        (SamplingGroup(gap="skip", clip_label="first"), VALUES, "eager", "sampling.clip_label, sampling.gap"),
        (SamplingGroup(least_frames=17), CLIP, "eager", "a clip of this model has 16 frames"),
        (SamplingGroup(gap="shorten"), CLIP, "openvino", "engine openvino takes clips of one length"),
    ],
)
def test_settings_that_do_not_fit_the_model_say_what_to_do(
    group: SamplingGroup, clip: ClipShape | None, engine: str, fault: str
) -> None:
    with pytest.raises(SettingsError, match=fault):
        sampling(group, clip, engine=engine)
