"""A fitted model as a file that runs no code of its own when read: a zip of a card (JSON) and a skops payload.

The digests find damage and careless edits; against intent stands the list of types that may be built (`TRUSTED`).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pydantic
import skops.io

from twin.errors import BadRequest, StoreFault, one_line, shown
from twin.prognosis.card import Card, versions
from twin.prognosis.fitted import FittedModel

FORMAT, VERSION = "pdm-twin model", 1
CARD, PAYLOAD = "card.json", "model.skops"
MOST_BYTES = 256 * 2**20
TRUSTED = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "twin.prognosis.models.IsoThreshold",
    "twin.prognosis.rul.ConformalRul",
    "twin.prognosis.survival.CoxSurvival",
)
"""Types beyond those that skops trusts by itself; none runs code when built."""


def save(fitted: FittedModel, path: str | os.PathLike[str], trusted: Iterable[str] = ()) -> Path:
    """Write a model to a file, whole or not at all.

    Parameters
    ----------
    fitted : FittedModel
        The model.
    path : path-like
        Where to; an existing file is replaced.
    trusted : iterable of str, optional
        Full names of further types that the estimator consists of; `load` then has to be told the same.

    Raises
    ------
    BadRequest
        For an estimator with parts that `load` would not build.
    StoreFault
        Where the file cannot be written.
    """
    if not isinstance(fitted, FittedModel):
        raise BadRequest(f"save takes what train() returns, not {type(fitted).__name__}.")
    where = place(path)
    try:
        payload = skops.io.dumps(fitted.estimator)
        refused = untrusted(payload, trusted)
    except Exception as fault:  # skops raises whatever it meets in a foreign object
        raise BadRequest(f"{type(fitted.estimator).__name__} cannot be stored: {one_line(fault)}.") from fault
    if refused:
        raise BadRequest(f"the model has parts of untrusted types: {', '.join(refused)}; name them in trusted=.")
    card = fitted.card.model_dump_json(indent=1).encode()
    envelope = {
        "format": FORMAT,
        "version": VERSION,
        "sha256": {"card": digest(card), "model": digest(payload)},
        "card": card.decode(),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(CARD, json.dumps(envelope, indent=1))
        archive.writestr(PAYLOAD, payload)
    return written(buffer.getvalue(), where)


def load(path: str | os.PathLike[str], trusted: Iterable[str] = ()) -> FittedModel:
    """Read a model from a file.

    Parameters
    ----------
    path : path-like
        Of a file that `save` wrote.
    trusted : iterable of str, optional
        Full names of further types that may be built; name only what you know.

    Raises
    ------
    BadRequest
        For a file that is missing, no model, damaged, changed, of another version, or with untrusted parts.
    """
    where = place(path)
    name = shown(str(path))
    envelope, payload = members(where, name)
    card = checked(envelope, payload, name)
    try:
        refused = untrusted(payload, trusted)
    except Exception as fault:  # a hostile payload may break the reader anywhere
        raise BadRequest(f"{name} holds no readable model ({one_line(fault)}); save it again.") from fault
    if refused:
        raise BadRequest(f"{name} holds parts of untrusted types: {', '.join(refused[:5])}; it is not loaded.")
    try:
        estimator = skops.io.loads(payload, trusted=[*TRUSTED, *trusted])
        return FittedModel(estimator, card)
    except Exception as fault:
        raise BadRequest(f"{name} holds no usable model ({one_line(fault)}); save it again.") from fault


def place(path: Any) -> Path:
    """Return the path of a file, or refuse what is none."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path) or "\0" in str(path):
        raise BadRequest(f"a model's file must be given by its path, got {shown(path)}.")
    return Path(path)


def members(path: Path, name: str) -> tuple[dict[str, Any], bytes]:
    """Return the envelope and the payload of a file."""
    foreign = BadRequest(f"{name} is no model file; give one that save() wrote.")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            if sorted(archive.namelist()) != [CARD, PAYLOAD]:
                raise foreign
            if sum(sizes.values()) > MOST_BYTES:
                raise BadRequest(f"{name} unpacks to more than {MOST_BYTES >> 20} MB; it is not loaded.")
            envelope = json.loads(archive.read(CARD))
            payload = archive.read(PAYLOAD)
    except FileNotFoundError as fault:
        raise BadRequest(f"no file {name}; give the path of a model file.") from fault
    except BadRequest:
        raise
    except OSError as fault:
        raise BadRequest(f"{name} cannot be read: {fault.strerror or one_line(fault)}.") from fault
    except Exception as fault:  # zipfile and json raise many kinds on damaged bytes
        raise BadRequest(f"{name} is no model file, or is damaged ({one_line(fault)}); save it again.") from fault
    if not isinstance(envelope, dict) or envelope.get("format") != FORMAT:
        raise foreign
    return envelope, payload


def checked(envelope: dict[str, Any], payload: bytes, name: str) -> Card:
    """Return the card of an envelope whose version and digests hold, and whose library is the one there is."""
    if envelope.get("version") != VERSION:
        other = shown(envelope.get("version"))
        raise BadRequest(f"{name} is a model file of version {other}; this is version {VERSION}: train again.")
    text, sums = envelope.get("card"), envelope.get("sha256")
    if not isinstance(text, str) or sums != {"card": digest(text.encode()), "model": digest(payload)}:
        raise BadRequest(f"{name} has been changed since it was saved (sha256 differs); it is not loaded.")
    try:
        card = Card.model_validate_json(text)
    except pydantic.ValidationError as fault:
        place = ".".join(str(part) for part in fault.errors()[0]["loc"])
        raise BadRequest(f"{name} has a card that is not valid (at {place or 'its top'}); train again.") from fault
    if set(card.features) != set(card.ranges):
        raise BadRequest(f"{name} has a card whose ranges are not those of its features; train again.")
    saved, here = card.versions.get("scikit-learn", "none"), versions()["scikit-learn"]
    if saved.split(".")[:2] != here.split(".")[:2]:
        raise BadRequest(f"{name} was saved with scikit-learn {shown(saved)}, here is {here}: train again.")
    return card


def untrusted(payload: bytes, trusted: Iterable[str]) -> list[str]:
    """Return the types in a payload that are neither skops' nor ours nor named."""
    allowed = {*TRUSTED, *trusted}
    return [str(found) for found in skops.io.get_untrusted_types(data=payload) if found not in allowed]


def digest(data: bytes) -> str:
    """Return sha256 in hex."""
    return hashlib.sha256(data).hexdigest()


def written(data: bytes, path: Path) -> Path:
    """Write bytes beside their place, then put them there at once."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            file.write(data)
        os.replace(temporary, path)
    except OSError as fault:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise StoreFault(f"cannot write {shown(str(path))}: {fault.strerror}; choose another place.") from fault
    return path
