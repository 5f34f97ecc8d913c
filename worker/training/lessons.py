"""Prepare the data for training: pictures become pixels, pixels become samples."""

from collections.abc import Callable, Sequence
from pathlib import Path

from worker.data.items import Item
from worker.domain.errors import SettingsError
from worker.domain.preprocessing import Preprocessing
from worker.training.augment import Transform, detection_transform, picture_transform, with_margin
from worker.training.balance import sample_weights
from worker.training.batches import Pieces
from worker.training.card import DataFacts
from worker.training.loop import Lessons
from worker.training.options import Options
from worker.training.prepared import prepare
from worker.training.samples import Sample, Timing, samples_of, to_prepare
from worker.training.sources import Sources, counts


def prepare_lessons(
    sources: Sources,
    options: Options,
    timing: Timing | None,
    numbers: Preprocessing,
    scratch: Path,
    *,
    seen: Callable[[int, int], None],
) -> tuple[Lessons, DataFacts, Sequence[Sample]]:
    """Decode all pictures, and make samples of them.

    Args:
        sources: the data.
        options: how to train.
        timing: of clips and sequences.
        numbers: of the network; held-out pictures are prepared with them exactly as the worker does it.
        scratch: a folder with room for the pixels.
        seen: is called with how many pictures are done, and how many there are.

    Returns:
        What is learned from, what is to be told of the data, and the samples that are learned from.

    Raises:
        SettingsError: there is no room, or too little is left to learn from or to test with.
    """
    boxed = options.task == "detect"
    split = sources.split
    train_items = _wanted(split.train, options, timing)
    test_items = _wanted(split.held_out, options, timing)
    total = len(train_items) + len(test_items)
    wide = numbers if boxed else with_margin(numbers, options.augment)
    train = prepare(train_items, wide, scratch, seen=lambda done: seen(done, total))
    test = prepare(test_items, numbers, scratch, seen=lambda done: seen(len(train_items) + done, total))
    learned = samples_of(train, options, timing, sources.classes, whole=False)
    held_out = samples_of(test, options, timing, sources.classes, whole=True)
    facts = DataFacts(
        path="",
        sha256=sources.sha256,
        pictures=sources.listed,
        unlabelled=sources.unlabelled,
        unreadable=(*train.unreadable, *test.unreadable),
        train_groups=_groups(learned),
        held_out_groups=_groups(held_out),
        train_samples=counts([each.targets for each in learned], sources.names),
        held_out_samples=counts([each.targets for each in held_out], sources.names),
        notes=split.notes,
    )
    _check(facts, options, timing, learned, held_out)
    change = _transform(options, numbers)
    length = timing.frames if timing and options.task == "recurrent" else None
    pieces = Pieces(learned, train.pixels, change, length=length, boxed=boxed)
    weights = None
    if options.balance == "sampler":
        weights = sample_weights([[target for target in each.targets if target >= 0] for each in learned])
    return Lessons(pieces, weights, held_out, test.pixels), facts, learned


def _wanted(items: Sequence[Item], options: Options, timing: Timing | None) -> list[Item]:
    """Return the pictures that samples may show; frames without a label may, between others."""
    match options.task:
        case "classify":
            return [each for each in items if each.label is not None]
        case "detect":
            return [each for each in items if each.boxes is not None]
    return to_prepare(items, timing)


def _transform(options: Options, numbers: Preprocessing) -> Transform | None:
    make = detection_transform if options.task == "detect" else picture_transform
    if options.augment == "none" and not options.flip:
        return None
    return make(options.augment, numbers.crop_size, flip=options.flip)


def _groups(samples: Sequence[Sample]) -> tuple[str, ...]:
    return tuple(sorted({each.group for each in samples}))


def _check(
    facts: DataFacts,
    options: Options,
    timing: Timing | None,
    learned: Sequence[Sample],
    held_out: Sequence[Sample],
) -> None:
    faults = list[str]()
    if len(learned) < 2:
        faults.append(f"{len(learned)} samples are too few to learn from")
    else:
        lost = [name for name, count in facts.train_samples.items() if not count]
        faults += [f"no sample of class {name} is left to learn from" for name in lost]
    if not held_out:
        faults.append("no sample is left to test with")
    if not faults:
        return
    if timing is not None and options.task == "clip":
        faults.append(
            f"a clip needs {timing.frames} frames of one camera or video, {timing.rate:g} a second, and at least half "
            "of them: give --frames and --rate that fit the data, and put the pictures of each video into a sub-folder "
            "of its own"
        )
    if facts.unreadable:
        faults.append(f"{len(facts.unreadable)} pictures cannot be read, such as {facts.unreadable[0]}")
    raise SettingsError(faults)
