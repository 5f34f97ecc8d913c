"""What is a file that is said to hold a network? Its bytes tell; nothing of it is run, and nothing is unpickled."""

import io
import json
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

_READ_AS_TEXT: Final = 2048


@dataclass(frozen=True, slots=True)
class FileKind:
    """One kind of file.

    Attributes:
        what: a noun with its article.
        remedy: what to do with such a file where it cannot be used.
    """

    what: str
    remedy: str


_ITS_STATE: Final = "load it where it was made, and save the weights alone: torch.save(network.state_dict(), FILE)"
_EXPORT: Final = "export the network in torch with torch.export.save, as docs/your-own-model.md shows"
_AGAIN: Final = "copy or download it again, and take its sha256 anew"
_UNPACK: Final = "unpack it, and name the file inside"

SAVED: Final = FileKind(
    "a file of torch.save", "give it as weights, together with architecture; or export the network as a program"
)
SAFETENSORS: Final = FileKind("a safetensors file", SAVED.remedy)
PROGRAM: Final = FileKind(
    "a program of torch.export", "write program: FILE in the manifest, and leave out architecture and weights"
)
WEIGHTS: Final = frozenset({SAVED, SAFETENSORS})

_EMPTY: Final = FileKind("an empty file", _AGAIN)
_CUT_SHORT: Final = FileKind("a file that is cut short", _AGAIN)
_UNKNOWN: Final = FileKind("a file of an unknown kind", "give a file of torch.save, safetensors or torch.export.save")
_TORCHSCRIPT: Final = FileKind(
    "a TorchScript program",
    'take its weights with torch.save(torch.jit.load("FILE").state_dict(), "weights.pth"), or ' + _EXPORT,
)
_COMPILED: Final = FileKind(
    "code that torch compiled for one machine",
    "give the program that it was compiled from (torch.export.save), and set model.engine: compile",
)
_ONNX: Final = FileKind("an ONNX model", _EXPORT)
_KERAS: Final = FileKind("a model of Keras", f"rebuild the network in torch; then {_EXPORT}")
_TENSORFLOW: Final = FileKind("a model of TensorFlow", _KERAS.remedy)
_COREML: Final = FileKind("a model of Core ML", _EXPORT)
_NUMPY: Final = FileKind(
    "a file of NumPy", "put the arrays into the network, and save torch.save(network.state_dict())"
)
_PICKLE: Final = FileKind("a pickle that torch.save did not write", _ITS_STATE)
_ZIP: Final = FileKind("a zip archive without a network of torch", _UNPACK)
_ARCHIVE: Final = FileKind("a compressed archive", _UNPACK)
_PICTURE: Final = FileKind("a picture", "name the file of the network instead")
_LFS: Final = FileKind("a Git LFS pointer, not the file itself", "run git lfs pull in its repository")
_ANNEX: Final = FileKind("a git-annex pointer, not the file itself", "run git annex get in its repository")
_HTML: Final = FileKind("an HTML page, such as the answer to a download that needs a login", "download the file itself")
_XML: Final = FileKind(
    "an XML text, such as a server's error or the graph of OpenVINO", f"download the file itself, or {_EXPORT}"
)
_JSON: Final = FileKind("a JSON text", "name the file with the weights; labels and manifest have their own fields")
_TEXT: Final = FileKind("a text, such as YAML or the answer of a server", _JSON.remedy)

_LEGACY_SAVE: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_BEGINNINGS: Final = (
    (_LEGACY_SAVE, SAVED),
    (b"\x89HDF\r\n\x1a\n", _KERAS),
    (b"\x08\x01\x12", _TENSORFLOW),
    *((bytes((8, version, tag)), _ONNX) for version in range(2, 32) for tag in (0x12, 0x1A, 0x3A, 0x42)),
    (b"\x93NUMPY", _NUMPY),
    *((bytes((0x80, protocol)), _PICKLE) for protocol in range(2, 6)),
    *(
        (magic, _ARCHIVE)
        for magic in (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"Rar!")
    ),
    *((magic, _PICTURE) for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n")),
)
_INSIDE: Final = (
    ("data/aotinductor/", _COMPILED),
    ("archive_format", PROGRAM),
    ("serialized_exported_program.json", PROGRAM),
    ("code/", _TORCHSCRIPT),
    ("data.pkl", SAVED),
    ("model.weights.h5", _KERAS),
)
"""How the names of files in a zip archive begin; torch puts them into a folder."""
_TEXTS: Final = (
    ("version https://git-lfs.github.com/", _LFS),
    ("/annex/objects/", _ANNEX),
    ("<!doctype html", _HTML),
    ("<html", _HTML),
    ("<", _XML),
    ("{", _JSON),
    ("[", _JSON),
)


def kind_of(data: bytes) -> FileKind:
    """Tell from its bytes what a file is.

    >>> kind_of(b"version https://git-lfs.github.com/spec/v1").remedy
    'run git lfs pull in its repository'
    """
    if not data:
        return _EMPTY
    if data.startswith(b"PK\x03\x04"):
        return _kind_of_zip(data)
    if tensors := _kind_of_tensors(data):  # whose first bytes are a number, and may be those of another kind
        return tensors
    known = next((kind for beginning, kind in _BEGINNINGS if data.startswith(beginning)), None)
    return known or _kind_by_inner_word(data) or _kind_of_text(data)


def kind_of_folder(names: Collection[str]) -> FileKind:
    """Tell what a folder is, from the names in it."""
    if "saved_model.pb" in names:
        return _TENSORFLOW
    if "Manifest.json" in names:
        return _COREML
    return FileKind("a folder", "name the file with the weights or the program in it, such as model.safetensors")


def _kind_of_zip(data: bytes) -> FileKind:
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except zipfile.BadZipFile:
        return _CUT_SHORT
    inside = [*names, *(name.partition("/")[2] for name in names)]
    for beginning, kind in _INSIDE:
        if any(name.startswith(beginning) for name in inside):
            return kind
    return _NUMPY if names and all(name.endswith(".npy") for name in names) else _ZIP


def _kind_by_inner_word(data: bytes) -> FileKind | None:
    if data[4:8] == b"TFL3" or (data[:1] == b"\n" and b"Placeholder" in data[:256]):
        return _TENSORFLOW
    return _ARCHIVE if data[257:262] == b"ustar" else None


def _kind_of_tensors(data: bytes) -> FileKind | None:
    """Recognise safetensors: eight bytes with the length of a JSON header, which says where each tensor ends."""
    if data[8:9] != b"{":
        return None
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length]
    try:
        tensors = [each for name, each in json.loads(header).items() if name != "__metadata__"]
        ends = [each["data_offsets"][1] for each in tensors]
    except (ValueError, TypeError, KeyError, IndexError):
        return _CUT_SHORT if b'"data_offsets"' in header and 8 + length > len(data) else None
    return SAFETENSORS if 8 + length + max(ends, default=0) == len(data) else _CUT_SHORT


def _kind_of_text(data: bytes) -> FileKind:
    try:
        text = data[:_READ_AS_TEXT].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < min(len(data), _READ_AS_TEXT) - 3:  # else a character is cut in two
            return _UNKNOWN
        text = data[: error.start].decode("utf-8-sig")
    if not all(each.isprintable() or each.isspace() for each in text):
        return _UNKNOWN
    text = text.strip().lower()
    if not text:
        return _EMPTY
    return next((kind for beginning, kind in _TEXTS if text.startswith(beginning)), _TEXT)
