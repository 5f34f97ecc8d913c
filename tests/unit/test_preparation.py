"""Each way of `model.preparation`, from an encoded frame to the model's input."""

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Final, Literal

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models import get_model_weights  # type: ignore[import-untyped]
from torchvision.transforms import InterpolationMode  # type: ignore[import-untyped]
from torchvision.transforms import functional as v1
from torchvision.transforms.v2 import functional as v2  # type: ignore[import-untyped]

from tests.support.models import SIZES, SMALL, photograph
from tests.support.pictures import (
    ALL_ENCODERS,
    ENCODERS,
    JPEG,
    PNG,
    Encode,
    Pixels,
    frame_of,
    jpeg_header,
    png_bomb,
    scene,
)
from worker.domain.errors import (
    FrameRejected,
    ImageTooLarge,
    ImageUndecodable,
    ImageUnsupported,
    ModelUnavailable,
    Reason,
)
from worker.domain.frames import EncodedFrame, Frame, Image, RawLayout
from worker.domain.pictures import Flaw, PictureRules
from worker.domain.preprocessing import Interpolation, Preprocessing, Sides
from worker.media.images import decode_image
from worker.media.resize import resize_middle
from worker.models.preparation import frame_decoder
from worker.models.torch_preparation import JpegPreparation
from worker.models.torchvision_weights import published_weights
from worker.settings import Limits, ModelGroup

LIMIT: Final = 10_000_000
MOBILENET: Final = published_weights("mobilenet_v2", "IMAGENET1K_V1").preprocessing
"""Bilinear, 256 to 224."""
WAYS: Final = ("exact", "uint8", "reduced", "nvjpeg")
JPEGS: Final[Mapping[str, Encode]] = {name: each for name, each in ENCODERS.items() if name.startswith("jpeg")}
NO_JPEGS: Final[Mapping[str, Encode]] = {name: each for name, each in ALL_ENCODERS.items() if name not in JPEGS}
CASES: Final[Sequence[tuple[Interpolation, bool]]] = [
    ("bilinear", True),
    ("bicubic", True),
    ("bilinear", False),
    ("bicubic", False),
    ("nearest", True),
]
"""Interpolations, and whether they smooth."""
at_any_size = given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)).filter(lambda sides: max(sides) <= 32 * min(sides)),
    st.tuples(st.integers(2, 40), st.integers(2, 40)),  # torch itself is wrong where a picture becomes one pixel wide
    st.sampled_from(["bilinear", "bicubic"]),
    st.integers(0, 2**32 - 1),
)
by_torchvision = pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")


def prepared(way: str, frame: EncodedFrame, numbers: Preprocessing = MOBILENET, *, max_pixels: int = LIMIT) -> Pixels:
    """Return the model's input; nvJPEG's way on this CPU, where torchvision decodes as well."""
    out = np.empty((*numbers.crop_size, 3), np.uint8)
    frame_decoder(numbers, ModelGroup(name="any", preparation=way), Limits(max_pixels=max_pixels))(frame, out)
    return out


def apart(one: Pixels, other: Pixels) -> Pixels:
    return np.abs(one.astype(int) - other).astype(np.uint8)


def enlarged(name: str, width: int, height: int) -> Pixels:
    return cv2.resize(photograph(name).pixels, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def raw(pixels: Pixels) -> EncodedFrame:
    height, width = pixels.shape[:2]
    return frame_of(pixels.tobytes(), raw=RawLayout("rgb24", width, height))


# Exact.


@pytest.mark.parametrize("name", ALL_ENCODERS)
def test_exact_is_the_default_and_decodes_the_whole_picture(name: str) -> None:
    frame = frame_of(ALL_ENCODERS[name](scene(640, 520)))
    expected, found = (np.empty((224, 224, 3), np.uint8) for _ in range(2))
    resize_middle(decode_image(frame, PictureRules()), expected, MOBILENET)
    frame_decoder(MOBILENET, ModelGroup(name="any"), Limits())(frame, found)
    assert np.array_equal(found, expected)
    assert np.array_equal(prepared("exact", frame), expected)


@pytest.mark.parametrize(
    ("architecture", "member"),
    [
        ("mobilenet_v2", "IMAGENET1K_V1"),  # bilinear, 256 to 224
        ("mobilenet_v2", "IMAGENET1K_V2"),  # 232 to 224
        ("efficientnet_b3", "IMAGENET1K_V1"),  # bicubic, 320 to 300
        ("regnet_y_16gf", "IMAGENET1K_SWAG_E2E_V1"),  # bicubic, nothing cut off: 384 to 384
    ],
)
@pytest.mark.parametrize("name", ["chelsea", "coffee", "motorcycle", "cameraman", "rocket"])
def test_exact_is_torchvisions_own_transform_to_the_last_bits_of_its_sums(
    architecture: str, member: str, name: str
) -> None:
    numbers = published_weights(architecture, member).preprocessing
    pictures = [photograph(name).pixels, photograph(name).pixels[:61, :97], photograph(name).pixels[:300, :299]]
    pictures += [scene(width, height) for height, width in SIZES]
    differences = [
        apart(prepared("exact", raw(each), numbers), by_preset(each, architecture, member)) for each in pictures
    ]
    assert max(each.max() for each in differences) <= 1
    # At exactly half its size, as here the cameraman, many a value lies in the middle between two.
    assert (differences[0] > 0).mean() < (0.01 if name == "cameraman" else 0.0005)
    assert np.mean([(each > 0).mean() for each in differences]) < 0.005


@pytest.mark.parametrize(("interpolation", "antialias"), [("bilinear", False), ("bicubic", False), ("nearest", True)])
def test_exact_is_torchvisions_own_transform_to_the_bit_without_antialias(
    interpolation: Interpolation,
    antialias: bool,  # noqa: FBT001 a case
) -> None:
    numbers = replace(MOBILENET, antialias=antialias, interpolation=interpolation)
    pixels = photograph("coffee").pixels
    resized = v1.resize(as_tensor(pixels), [256], InterpolationMode(interpolation), antialias=antialias)
    expected = v1.center_crop(resized, [224]).permute(1, 2, 0).numpy()
    assert np.array_equal(prepared("exact", raw(pixels), numbers), expected)


@at_any_size
def test_exact_is_torchvisions_own_transform_at_any_size(
    sides: tuple[int, int], target: tuple[int, int], interpolation: Interpolation, seed: int
) -> None:
    numbers = replace(MOBILENET, resize=max(target), crop=min(target), interpolation=interpolation)
    pixels = np.random.default_rng(seed).integers(0, 256, (*sides, 3), np.uint8)
    resized = v1.resize(as_tensor(pixels), [max(target)], InterpolationMode(interpolation), antialias=True)
    expected = v1.center_crop(resized, [min(target)]).permute(1, 2, 0).numpy()
    assert apart(prepared("exact", raw(pixels), numbers), expected).max() <= 1


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("resize", [(128, 171), (27, 48), 130])
def test_exact_is_torchvisions_own_transform_to_height_and_width(
    resize: Sides,
    antialias: bool,  # noqa: FBT001 a case
) -> None:
    numbers = replace(MOBILENET, resize=resize, crop=(26, 48), antialias=antialias)
    for pixels in (photograph("coffee").pixels, scene(61, 97), scene(900, 33), scene(171, 128)):
        whole = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        resized = v1.resize(whole, [resize] if isinstance(resize, int) else list(resize), antialias=antialias)
        expected = v1.center_crop(resized, [26, 48]).permute(1, 2, 0).numpy()
        difference = apart(prepared("exact", raw(pixels), numbers), expected)
        assert difference.max() <= antialias
        assert (difference > 0).mean() < 0.005


def test_exact_is_what_torchvision_gives_to_its_video_models() -> None:
    preset = get_model_weights("r3d_18").DEFAULT.transforms()
    mean, std = tuple(preset.mean), tuple(preset.std)
    numbers = replace(MOBILENET, resize=(128, 171), crop=(112, 112), antialias=False, mean=mean, std=std)
    pictures = [photograph(name).pixels for name in ("coffee", "rocket")]
    pictures += [scene(width, height) for height, width in SIZES]
    for pixels in pictures:
        expected = preset(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None])[:, 0]
        found = torch.from_numpy(prepared("exact", raw(pixels), numbers)).permute(2, 0, 1) / 255
        normalised = (found - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        assert torch.equal(normalised, expected), pixels.shape


def test_exact_leaves_the_picture_alone_and_takes_any_array() -> None:
    pixels = scene(300, 280)
    before, batch = pixels.copy(), np.empty((4, 224, 224, 3), np.uint8)
    frozen = pixels.copy()
    frozen.setflags(write=False)
    scattered = np.empty((224, 3, 224), np.uint8)
    resize_middle(Image(pixels), batch[0], MOBILENET)
    resize_middle(Image(frozen), batch[1], MOBILENET)
    resize_middle(Image(pixels[:, ::-1][:, ::-1]), batch[2], MOBILENET)
    resize_middle(Image(pixels), scattered.swapaxes(1, 2), MOBILENET)
    batch[3] = scattered.swapaxes(1, 2)
    assert all(np.array_equal(each, batch[0]) for each in batch)
    batch[:] = 0
    assert np.array_equal(pixels, before)


# In uint8.


@pytest.mark.parametrize(("interpolation", "antialias"), CASES)
@pytest.mark.parametrize("resize", [256, (128, 171), (27, 48), 130])
def test_uint8_is_torchvisions_second_transform_to_the_bit(
    resize: Sides,
    interpolation: Interpolation,
    antialias: bool,  # noqa: FBT001 a case
) -> None:
    numbers = replace(MOBILENET, resize=resize, crop=(26, 48), interpolation=interpolation, antialias=antialias)
    for pixels in (photograph("coffee").pixels, scene(61, 97), scene(900, 33), scene(171, 128)):
        assert np.array_equal(prepared("uint8", raw(pixels), numbers), in_uint8(pixels, numbers))


@at_any_size
def test_uint8_is_torchvisions_second_transform_at_any_size(
    sides: tuple[int, int], target: tuple[int, int], interpolation: Interpolation, seed: int
) -> None:
    numbers = replace(MOBILENET, resize=max(target), crop=min(target), interpolation=interpolation)
    pixels = np.random.default_rng(seed).integers(0, 256, (*sides, 3), np.uint8)
    assert np.array_equal(prepared("uint8", raw(pixels), numbers), in_uint8(pixels, numbers))


@pytest.mark.parametrize("pad", [True, "center"])
def test_uint8_pads_as_exact_does(pad: Literal[True, "center"]) -> None:
    numbers = replace(MOBILENET, resize=(64, 80), crop=(64, 80), pad=pad, fill=(1, 2, 3))
    for pixels in (scene(300, 200), scene(100, 300), scene(80, 64)):
        exact, found = (prepared(way, raw(pixels), numbers).astype(int) for way in ("exact", "uint8"))
        assert np.array_equal((exact == (1, 2, 3)).all(2), (found == (1, 2, 3)).all(2))
        assert abs(exact - found).max() <= 1


@pytest.mark.parametrize("name", ["chelsea", "coffee", "motorcycle", "rocket"])
@pytest.mark.parametrize("member", ["mobilenet_v2", "efficientnet_b3"])
def test_uint8_is_what_pillow_gives_to_a_network_that_learns(name: str, member: str) -> None:
    numbers = published_weights(member, "IMAGENET1K_V1").preprocessing
    picture = PIL.Image.fromarray(photograph(name).pixels)
    sides, mode = [numbers.resize], InterpolationMode(numbers.interpolation)
    expected = np.asarray(v1.center_crop(v1.resize(picture, sides, mode), list(numbers.crop_size)))
    difference = apart(prepared("uint8", raw(photograph(name).pixels), numbers), expected)
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("name", ["chelsea", "coffee", "motorcycle", "cameraman", "rocket"])
@pytest.mark.parametrize(("member", "most"), [("mobilenet_v2", 1), ("efficientnet_b3", 6)])
def test_uint8_is_within_a_few_values_of_exact_on_photographs(name: str, member: str, most: int) -> None:
    numbers = published_weights(member, "IMAGENET1K_V1").preprocessing
    frame = frame_of(JPEG(enlarged(name, 1280, 960)))
    difference = apart(prepared("uint8", frame, numbers), prepared("exact", frame, numbers))
    assert 0 < difference.mean() < 0.2
    assert difference.max() <= most


# Reduced.


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("side", "expected"),
    [(11, 11), (12, 12), (22, 22), (23, 12), (24, 12), (44, 22), (45, 12), (88, 22), (89, 12), (96, 12), (400, 50)],
)
def test_a_jpeg_is_decoded_no_larger_than_needed(side: int, expected: int, turned: bool) -> None:  # noqa: FBT001 a case
    pixels = scene(2 * side, side)
    frame = frame_of(JPEG(pixels.swapaxes(0, 1) if turned else pixels))
    found = decode_image(frame, PictureRules(), shorter_side=12).pixels
    assert min(found.shape[:2]) == expected
    assert (found.shape[0] > found.shape[1]) == turned
    assert found.flags.writeable


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("divisor", [2, 4, 8])
def test_a_reduced_jpeg_is_neither_turned_nor_swapped(name: str, divisor: int) -> None:
    frame = frame_of(JPEGS[name](scene(640, 512)))
    whole = decode_image(frame, PictureRules()).pixels
    found = decode_image(frame, PictureRules(), shorter_side=512 // divisor).pixels
    assert found.shape == (512 // divisor, 640 // divisor, 3)
    assert apart(found, cv2.resize(whole, found.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.uint8)).mean() < 3


@pytest.mark.parametrize("name", NO_JPEGS)
def test_no_other_kind_is_reduced(name: str) -> None:
    frame = frame_of(NO_JPEGS[name](scene(640, 520)))
    assert decode_image(frame, PictureRules(), shorter_side=256).pixels.shape == (520, 640, 3)
    assert np.array_equal(prepared("reduced", frame), prepared("exact", frame))


@pytest.mark.parametrize(("size", "reduced"), [((359, 272), False), ((359, 347), True)])
def test_a_jpeg_is_reduced_to_no_less_than_height_and_width(size: tuple[int, int], reduced: bool) -> None:  # noqa: FBT001
    numbers = replace(MOBILENET, resize=(128, 171), crop=112)
    frame = frame_of(JPEG(scene(*size)))
    assert np.array_equal(prepared("reduced", frame, numbers), prepared("exact", frame, numbers)) != reduced


def test_raw_is_not_reduced() -> None:
    assert np.array_equal(prepared("reduced", raw(scene(640, 520))), prepared("exact", raw(scene(640, 520))))


def test_a_jpeg_that_is_not_large_enough_is_not_reduced() -> None:
    small, large = frame_of(JPEG(scene(640, 510))), frame_of(JPEG(scene(640, 511)))
    assert np.array_equal(prepared("reduced", small), prepared("exact", small))
    assert not np.array_equal(prepared("reduced", large), prepared("exact", large))


@pytest.mark.parametrize("name", ["chelsea", "coffee", "motorcycle", "cameraman", "rocket"])
def test_reduced_is_close_on_photographs(name: str) -> None:
    frame = frame_of(JPEG(enlarged(name, 1280, 960)))
    difference = apart(prepared("reduced", frame), prepared("exact", frame))
    assert 0 < difference.mean() < 1
    assert difference.max() < 16


# By the device that decodes; torchvision warns when it is asked to, and a warning of nobody's is an error here.


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_is_decoded_by_the_device(name: str) -> None:
    frame = frame_of(JPEGS[name](scene(640, 520)))
    expected = in_uint8(decode_image(frame, PictureRules()).pixels)
    with pytest.warns(DeprecationWarning, match="The image decoding"):
        prepare_jpeg = JpegPreparation(torch.device("cpu"), MOBILENET)
    found = np.empty_like(expected)
    with pytest.warns(DeprecationWarning, match="The image decoding"):
        prepare_jpeg(frame.data, found)
    assert np.array_equal(found, expected)


def test_a_device_gets_jpegs_and_nothing_else() -> None:
    with pytest.warns(DeprecationWarning, match="The image decoding"):
        decode = frame_decoder(MOBILENET, ModelGroup(name="any", preparation="nvjpeg"), Limits(max_pixels=LIMIT))
    out = np.empty((224, 224, 3), np.uint8)
    with pytest.warns(DeprecationWarning, match="The image decoding"):
        decode(frame_of(JPEG(scene(300, 260))), out)
    for frame in (frame_of(PNG(scene(300, 260))), raw(scene(300, 260))):
        decode(frame, out)
        assert np.array_equal(out, prepared("exact", frame))
    for frame in (frame_of(JPEG(scene(300, 260))[:-20]), frame_of(JPEG(scene(4_000, 3_000)))):
        with pytest.raises(FrameRejected):
            decode(frame, out)


@by_torchvision
def test_what_a_device_does_not_manage_is_undecodable() -> None:
    prepare_jpeg = JpegPreparation(torch.device("cpu"), SMALL)
    for jpeg in (b"\xff\xd8\xff\xd9", torn(), JPEG(scene(24, 17))[:200]):
        with pytest.raises(ImageUndecodable, match="cannot be decoded on cpu") as caught:
            prepare_jpeg(jpeg, np.empty((8, 8, 3), np.uint8))
        assert caught.value.reason is Reason.NOT_A_PICTURE


@by_torchvision
@pytest.mark.parametrize("picture", ["torn", "glued", "merged"])
def test_what_the_structure_shows_is_refused_with_a_device_too(picture: str) -> None:
    whole, progressive = JPEG(scene(24, 17)), JPEGS["jpeg progressive"](scene(24, 17))
    broken = {
        "torn": torn(),
        "glued": progressive[: progressive.rindex(b"\xff\xda")] + b"\xff\xd9",
        "merged": whole[:-20] + whole,
    }[picture]
    refused = [rejection(way, frame_of(broken)) for way in WAYS]
    assert isinstance(refused[0], ImageUndecodable)
    assert len({str(each) for each in refused}) == 1


@by_torchvision
def test_without_an_end_marker_a_device_is_not_asked() -> None:
    frame = frame_of(JPEG(scene(24, 17))[:-2])
    assert np.array_equal(prepared("nvjpeg", frame, SMALL), prepared("exact", frame, SMALL))


@by_torchvision
def test_a_device_is_used_by_several_threads() -> None:
    frames = [frame_of(JPEG(scene(300 + number, 260))) for number in range(16)]
    decode = frame_decoder(MOBILENET, ModelGroup(name="any", preparation="nvjpeg"), Limits())
    batch = np.empty((64, 224, 224, 3), np.uint8)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(decode, frames * 4, batch))
    for frame, found in zip(frames * 4, batch, strict=True):
        assert np.array_equal(found, in_uint8(decode_image(frame, PictureRules()).pixels))


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ModelUnavailable, match=r"device 'cuda:99'.* use cpu"):
        frame_decoder(SMALL, ModelGroup(name="any", preparation="nvjpeg", device="cuda:99"), Limits())
    with pytest.raises(ModelUnavailable, match=r"cannot decode JPEG on cuda:99 .*set model\.preparation: exact"):
        JpegPreparation(torch.device("cuda:99"), SMALL)


# What decoders report.


@by_torchvision
@pytest.mark.parametrize("way", WAYS)
def test_every_flaw_is_told_with_its_frame(way: str) -> None:
    told = list[tuple[Frame, Flaw]]()
    group = ModelGroup(name="any", preparation=way)
    decode = frame_decoder(SMALL, group, Limits(), flawed=lambda frame, flawed: told.append((frame, flawed.flaw)))
    whole, out = JPEG(scene(24, 17)), np.empty((8, 8, 3), np.uint8)
    frames = [frame_of(each) for each in (whole, whole[:-2], whole[:-30] + whole, PNG(scene(24, 17))[:-30], b"text")]
    for frame in frames:
        with suppress(FrameRejected):
            decode(frame, out)
    assert told == [(frames[1].frame, Flaw.NO_END), (frames[2].frame, Flaw.MERGED)]


@pytest.mark.parametrize("way", ["exact", "uint8", "reduced"])
def test_damage_is_accepted_if_the_settings_say_so(way: str) -> None:
    group, out = ModelGroup(name="any", preparation=way), np.empty((8, 8, 3), np.uint8)
    frame = frame_of(JPEG(scene(64, 48))[:-30] + b"\xff\xd9")
    frame_decoder(SMALL, group, Limits(damaged="accept"))(frame, out)
    with pytest.raises(ImageUndecodable, match=r"truncated: .*, or set limits\.damaged: accept$"):
        frame_decoder(SMALL, group, Limits())(frame, out)


# What is refused, whatever the way.


@by_torchvision
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("data", [None, b"no picture", JPEG(scene(64, 48))[:-20], PNG(scene(64, 48))[:-20]])
def test_every_way_refuses_what_is_no_whole_picture(way: str, data: bytes | None) -> None:
    refused = [rejection(each, frame_of(data)) for each in ("exact", way)]
    assert isinstance(refused[0], ImageUndecodable)
    assert len({(type(each), each.reason, str(each)) for each in refused}) == 1


@by_torchvision
@pytest.mark.parametrize("way", WAYS)
def test_every_way_goes_by_the_full_size(way: str) -> None:
    frame = frame_of(JPEG(scene(100, 100)))
    assert prepared(way, frame, SMALL, max_pixels=10_000).shape == (8, 8, 3)
    for large in (frame, frame_of(png_bomb(100, 100)), raw(scene(100, 100))):
        with pytest.raises(ImageTooLarge, match="100x100 is 10000 pixels, the limit is 9999"):
            prepared(way, large, SMALL, max_pixels=9_999)


@by_torchvision
@pytest.mark.parametrize("way", WAYS)
def test_every_way_refuses_a_picture_that_its_decoder_does(way: str) -> None:
    refused = rejection(way, frame_of(jpeg_header()))  # without any tables
    assert isinstance(refused, ImageUndecodable)
    assert refused.reason is Reason.NOT_A_PICTURE


@by_torchvision
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("encode", [JPEG, PNG])
def test_every_way_refuses_a_thread_of_a_picture(way: str, encode: Encode) -> None:
    assert prepared(way, frame_of(encode(scene(32, 1))), SMALL).shape == (8, 8, 3)
    refused = rejection(way, frame_of(encode(scene(5_000, 100))))
    assert isinstance(refused, ImageUnsupported)
    assert "this picture is 5000x100: no side may be more than 32 times as long as the other" in str(refused)


@by_torchvision
@given(st.sampled_from(sorted(ALL_ENCODERS)), st.randoms(use_true_random=False))
def test_a_damaged_picture_fares_the_same_with_every_way(name: str, rng: random.Random) -> None:
    damaged = bytearray(ALL_ENCODERS[name](scene(45, 97)))
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(damaged) - 8)
        damaged[at : at + rng.choice([0, 1, 1, 4])] = rng.randbytes(rng.choice([0, 1, 1, 4]))
    fate = dict[str, str]()
    for way in WAYS:
        try:
            prepared(way, frame_of(bytes(damaged)), SMALL)
            fate[way] = "taken"
        except FrameRejected as error:
            fate[way] = f"{type(error).__name__}: {error}"
    assert fate["uint8"] == fate["reduced"] == fate["exact"]
    assert fate["nvjpeg"] in {fate["exact"], "taken"}, "a device does not tell of damage within the pixels"


def as_tensor(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def by_preset(pixels: Pixels, architecture: str, member: str) -> Pixels:
    """Return what torchvision's preset gives the network, without its normalisation."""
    preset = get_model_weights(architecture)[member].transforms()
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (preset.mean, preset.std))
    whole = (preset(as_tensor(pixels)) * std + mean) * 255
    found: Pixels = whole.round().to(torch.uint8).permute(1, 2, 0).numpy()
    return found


def in_uint8(pixels: Pixels, numbers: Preprocessing = MOBILENET) -> Pixels:
    """Return what torchvision's second API makes of a picture."""
    sides = [numbers.resize] if isinstance(numbers.resize, int) else list(numbers.resize)
    mode = InterpolationMode(numbers.interpolation)
    resized = v2.resize(as_tensor(pixels), sides, mode, antialias=numbers.antialias)
    found: Pixels = v2.center_crop(resized, list(numbers.crop_size)).permute(1, 2, 0).numpy()
    return found


def torn() -> bytes:
    """Return a JPEG whose pixels hold a marker that means nothing: torchvision refuses it, OpenCV guesses on."""
    picture = bytearray(JPEG(scene(24, 17)))
    at = len(picture) - 20
    picture[at : at + 2] = b"\xff\x5f"
    return bytes(picture)


def rejection(way: str, frame: EncodedFrame) -> FrameRejected:
    with pytest.raises(FrameRejected) as caught:
        prepared(way, frame, SMALL)
    return caught.value
