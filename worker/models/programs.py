"""Programs of `torch.export`: load one, check all that its graph tells, and find the output that is wanted."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torch.utils import _pytree as trees

from worker.domain.errors import ModelUnavailable

_AGAIN: Final = "export it again"
_ANY: Final = "dynamic_shapes=({0: torch.export.Dim('batch', min=1)},)"
_ONE_INPUT: Final = trees.tree_structure(((0,), {}))
_SHOWN: Final = "docs/your-own-model.md shows how"
_WHOLE_OUTPUTS: Final = frozenset({"detect", "segment"})
"""Tasks whose heads take several outputs, and choose by themselves."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How many samples a program takes in one call.

    Attributes:
        least: at least 1.
        most: None if there is no limit.
    """

    least: int
    most: int | None


ANY_BATCH: Final = BatchLimits(1, None)


def load_program(data: bytes, what: str, *, shape: tuple[int, int, int], frames: int | None) -> ExportedProgram:
    """Load a program, and check that its input is what the worker gives it.

    Args:
        data: the content of a `.pt2` file; it may contain pickled objects.
        what: the file's name, for messages.
        shape: (height, width, channels) of a prepared picture.
        frames: of a clip; None for a program that takes single pictures.

    Raises:
        ModelUnavailable: it cannot be loaded, takes something else, or was exported in train mode.
    """
    try:
        program = torch.export.load(io.BytesIO(data))
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ModelUnavailable(
            f"torch {torch.__version__} cannot load the program {what} ({reason}): {_AGAIN} with this version of "
            "torch, on the CPU"
        ) from error
    faults = [*_faults_of_input(program, shape, frames), *_faults_of_mode(program)]
    if faults:
        raise ModelUnavailable(f"the program {what} {'; it '.join(faults)}")
    return program


def batch_limits(program: ExportedProgram) -> BatchLimits:
    """Tell how many samples a program takes in one call."""
    (shape,) = (each.shape for each in _inputs(program))
    batch = shape[0]
    if isinstance(batch, int):
        return BatchLimits(batch, batch)
    known = program.range_constraints.get(batch.node.expr)
    if known is None:
        return BatchLimits(1, None)
    least = max(1, int(known.lower))
    return BatchLimits(least, int(known.upper) if known.upper.is_finite and known.upper < 2**31 else None)


def check_batch(network: nn.Module | ExportedProgram, engine: str) -> None:
    """Refuse what would have to be converted for its own batch size: an engine chooses sizes itself.

    Raises:
        ModelUnavailable: the network is a program with a largest batch, and the engine converts networks.
    """
    if engine != "eager" and isinstance(network, ExportedProgram) and (most := batch_limits(network).most):
        raise ModelUnavailable(
            f"engine {engine} cannot run a program that takes at most {most} samples in a call: set model.engine: "
            f"eager, or {_AGAIN} with {_ANY}"
        )


def output_index(program: ExportedProgram, name: str | None, *, task: str, what: str) -> int | None:
    """Return the number of the output that is wanted, of all tensors that a program returns; None to take all.

    Args:
        program: the program.
        name: what the manifest says: the key of a dict, the number in a tuple, or several of these with dots.
        task: the model's task.
        what: the file's name, for messages.

    Raises:
        ModelUnavailable: there is no such output, or there are several and none is named.
    """
    outputs = _outputs(program)
    if name in outputs:
        return outputs[name]
    told = ", ".join(repr(each) for each in outputs)
    if name is not None:
        raise ModelUnavailable(f"the program {what} has no output {name!r}: write another output_name, one of {told}")
    if task in _WHOLE_OUTPUTS:
        return None
    if len(outputs) != 1:
        raise ModelUnavailable(
            f"the program {what} returns {len(outputs)} tensors: write output_name in the manifest, one of {told}"
        )
    return next(iter(outputs.values()))


def _inputs(program: ExportedProgram) -> list[Any]:
    names = program.graph_signature.user_inputs
    return [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]


def _outputs(program: ExportedProgram) -> dict[str, int]:
    """Return the numbers of the tensors among all that a program returns, by the way to each."""
    (returned,) = (node.args[0] for node in program.graph.nodes if node.op == "output")
    spec = program.call_spec.out_spec
    leaves = list(returned)[-spec.num_leaves :] if spec else list(returned)
    paths, _ = trees.tree_flatten_with_path(trees.tree_unflatten(leaves, spec) if spec else leaves)
    return {
        ".".join(_word(each) for each in path): number
        for number, (path, leaf) in enumerate(paths)
        if isinstance(leaf, Node)
    }


def _word(key: Any) -> str:
    """Return a step to an output: the key of a mapping, the number in a sequence, or the name of an attribute."""
    words = (getattr(key, name, None) for name in ("key", "idx", "name"))
    return str(next(word for word in words if word is not None))


def _faults_of_input(program: ExportedProgram, picture: tuple[int, int, int], frames: int | None) -> Iterator[str]:
    inputs = _inputs(program)
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor):
        yield f"takes {len(inputs)} inputs, not one tensor of pictures: wrap the network in a module that does"
        return
    if program.call_spec.in_spec != _ONE_INPUT:
        yield f"takes its input by a keyword or within another value: {_AGAIN} with args=(example,)"
    shape: tuple[object, ...] = tuple(inputs[0].shape)
    size, depth = picture[:2], picture[2]
    wanted: tuple[object, ...] = (depth, *size) if frames is None else (depth, frames, *size)
    words = ("channels", "height", "width") if frames is None else ("channels", "number of frames", "height", "width")
    as_wanted = f"(batch, {', '.join(str(each) for each in wanted)})"
    if len(shape) != len(wanted) + 1:
        yield f"takes an input of shape {_told(shape)}, not one of {as_wanted}: {_AGAIN}; {_SHOWN}"
        return
    if shape[-1] == depth and shape[1] != depth and depth > 1:
        yield f"takes the channels last, {_told(shape)}: {_AGAIN} with a permute in front, so that it takes {as_wanted}"
        return
    if isinstance(shape[0], torch.SymInt) and not shape[0].node.expr.is_symbol:
        yield f"takes batches of {shape[0]} samples: {_AGAIN} with {_ANY}"
    for word, found, expected in zip(words, shape[1:], wanted, strict=True):
        if not _admits(program, found, expected):
            yield _remedy(word, found, expected)
    if inputs[0].dtype != torch.float32:
        yield (
            f"takes {inputs[0].dtype}, and the worker gives torch.float32: {_AGAIN} with a float32 example; the input "
            "is (pixel / 255 - mean) / std"
        )


def _admits(program: ExportedProgram, found: object, expected: object) -> bool:
    if not isinstance(found, torch.SymInt):
        return found == expected
    known = program.range_constraints.get(found.node.expr)
    return known is None or bool(known.lower <= expected <= known.upper)


def _remedy(word: str, found: object, expected: object) -> str:
    if word == "channels":
        if (found, expected) in {(1, 3), (3, 1)}:
            right = "1 channel: set preprocessing.channels: gray"
            return f"takes {right if found == 1 else '3 channels: set preprocessing.channels: rgb, or bgr'}"
        return f"takes {found} channels, and the worker gives {expected}: {_AGAIN} with the conversion in its forward"
    setting = "clip.frames" if word == "number of frames" else "preprocessing.crop"
    return f"takes a {word} of {found}, and {setting} says {expected}: correct {setting}, or {_AGAIN} for {expected}"


def _told(shape: Sequence[object]) -> str:
    return f"({', '.join('any' if isinstance(each, torch.SymInt) else str(each) for each in shape)})"


def _faults_of_mode(program: ExportedProgram) -> Iterator[str]:
    """Find what only a network in train mode does. Its answers would change from run to run, or with the batch."""
    signature = program.graph_signature
    own = {**signature.inputs_to_buffers, **signature.inputs_to_parameters}
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, GraphModule) else ():
            if fault := _of_training(node, own):
                yield (
                    f"{fault}, as networks in train mode do, and its answers would change: call network.eval() before "
                    f"torch.export.export, and {_AGAIN}"
                )
                return


def _of_training(node: Node, own: Mapping[str, str]) -> str | None:
    """Say what a node does that no answer may depend on.

    Args:
        node: of a program's graph.
        own: names of the program's weights, by the names of their nodes.
    """
    schema = getattr(node.target, "_schema", None)
    if node.op != "call_function" or schema is None:
        return None
    given = {each.name: node.kwargs.get(each.name, each.default_value) for each in schema.arguments}
    given |= {each.name: value for each, value in zip(schema.arguments, node.args, strict=False)}
    written = [_origin(given[each.name]) for each in schema.arguments if each.alias_info and each.alias_info.is_write]
    if changed := [own[name] for name in written if name in own]:
        return f"changes its own {changed[0]} when it runs"
    training = next((given[name] for name in ("training", "train") if name in given), None)
    if "batch_norm" in schema.name:
        return f"has {node.target} with the statistics of the batch" if training else None
    seeded = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    random = seeded or {"dropout", "dropout_p"} & given.keys()
    share = next((given[name] for name in ("dropout_p", "dropout", "p") if name in given), None)
    return f"has {node.target}, which is random" if random and training is not False and share != 0 else None


def _origin(value: object) -> str:
    """Return the name of the node whose memory a value is part of; nothing for what is no node."""
    while isinstance(value, Node) and value.op == "call_function" and value.args:
        value = value.args[0]
    return value.name if isinstance(value, Node) else ""
