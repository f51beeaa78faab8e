"""Model files: every model comes back bit-equal; whatever else is in a file is refused in one line."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer

from twin.errors import BadRequest, StoreFault
from twin.prognosis.models import BASELINES
from twin.prognosis.saved import load, save
from twin.prognosis.training import train

EVERY = [(task, name) for task, known in BASELINES.items() for name in known]


def refusal(path: Path) -> str:
    with pytest.raises(BadRequest) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


def rewrite(source: Path, target: Path, *, payload: bytes | None = None, sign: bool = True, **envelope: object) -> Path:
    """Write a copy with another payload or envelope, with digests that hold if asked."""
    with zipfile.ZipFile(source) as archive:
        head, body = json.loads(archive.read("card.json")), archive.read("model.skops")
    head.update(envelope)
    body = body if payload is None else payload
    if sign:
        head["sha256"] = {
            "card": hashlib.sha256(str(head["card"]).encode()).hexdigest(),
            "model": hashlib.sha256(body).hexdigest(),
        }
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("card.json", json.dumps(head))
        archive.writestr("model.skops", body)
    return target


@pytest.fixture(scope="session")
def stored(models, tmp_path_factory) -> Path:
    return save(models["failure", "threshold"], tmp_path_factory.mktemp("stored") / "m.zip")


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_every_model_comes_back_bit_equal(task, name, models, frames, tmp_path) -> None:
    before = models[task, name]
    after = load(save(before, tmp_path / "model.zip"))
    x = frames[0]
    assert after.card == before.card
    assert after.score(x).equals(before.score(x))
    if task == "rul":
        assert after.predict_interval(x).equals(before.predict_interval(x))
    elif task == "survival":
        assert after.predict_survival(x, [1, 50.5]).equals(before.predict_survival(x, [1, 50.5]))
    else:
        assert np.array_equal(after.predict_proba(x), before.predict_proba(x))
    assert after.in_range(x).equals(before.in_range(x))


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(models, tmp_path) -> None:
    path = tmp_path / "m.zip"
    path.write_text("old")
    assert save(models["failure", "threshold"], path) == path
    assert load(path).card.model == "threshold"
    assert [p.name for p in tmp_path.iterdir()] == ["m.zip"]


def test_a_place_that_cannot_be_written_is_named(models, tmp_path) -> None:
    with pytest.raises(StoreFault, match="cannot write"):
        save(models["failure", "threshold"], tmp_path / "none" / "m.zip")


def test_an_estimator_of_untrusted_parts_is_refused_unless_named(frames, tmp_path) -> None:
    features, labels = frames
    fitted = train(features.fillna(0.0), labels, model=KNeighborsClassifier(algorithm="kd_tree"))
    with pytest.raises(BadRequest, match="untrusted types.*KDTree"):
        save(fitted, tmp_path / "m.zip")
    names = skops.io.get_untrusted_types(data=skops.io.dumps(fitted.estimator))
    path = save(fitted, tmp_path / "m.zip", trusted=names)
    assert "untrusted" in refusal(path)
    assert load(path, trusted=names).score(features.fillna(0.0)).equals(fitted.score(features.fillna(0.0)))


def test_what_is_no_model_file(tmp_path) -> None:
    assert "no file" in refusal(tmp_path / "none.zip")
    assert "cannot be read" in refusal(tmp_path)
    for data in (b"", b"pickle", b"PK\x03\x04" + b"\0" * 50):
        path = tmp_path / "foreign"
        path.write_bytes(data)
        assert "no model file" in refusal(path)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "hello")
    assert "no model file" in refusal(tmp_path / "other.zip")


def test_a_bare_skops_file_is_foreign(models, tmp_path) -> None:
    skops.io.dump(models["failure", "logistic"].estimator, tmp_path / "m.skops")
    assert "no model file" in refusal(tmp_path / "m.skops")


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_truncated_file_is_refused(share, stored) -> None:
    path = stored.with_name("cut.zip")
    data = stored.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refusal(path)


@settings(max_examples=40, deadline=None)
@given(where=st.floats(0, 0.9999), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_changes_nothing(where, bit, stored, frames) -> None:
    path = stored.with_name("flipped.zip")
    data = bytearray(stored.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    path.write_bytes(bytes(data))
    try:
        found = load(path)
    except BadRequest as fault:
        assert "\n" not in str(fault)  # noqa: PT017 (a flip of what nobody reads is none)
    else:  # times and flags of the zip itself
        assert found.card == load(stored).card
        assert found.score(frames[0]).equals(load(stored).score(frames[0]))


def test_a_changed_payload_or_card_is_noticed(stored, models, tmp_path) -> None:
    other = skops.io.dumps(models["failure", "logistic"].estimator)
    path = rewrite(stored, tmp_path / "m.zip", payload=other, sign=False)
    assert "has been changed" in refusal(path)
    card = models["failure", "threshold"].card.model_copy(update={"horizon_h": 1.0}).model_dump_json()
    assert "has been changed" in refusal(rewrite(stored, tmp_path / "m.zip", card=card, sign=False))


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_another_version_is_named(version, stored, tmp_path) -> None:
    assert "version" in refusal(rewrite(stored, tmp_path / "m.zip", version=version))


def test_another_scikit_learn_is_named(stored, models, tmp_path) -> None:
    card = models["failure", "threshold"].card
    for versions in ({"scikit-learn": "0.24.2"}, {}):
        changed = card.model_copy(update={"versions": versions}).model_dump_json()
        assert "scikit-learn" in refusal(rewrite(stored, tmp_path / "m.zip", card=changed))


@pytest.mark.parametrize("card", ["", "[]", "{}", "null", '{"task": "x"}', 5, None, {"a": 1}])
def test_a_card_that_is_none(card, stored, tmp_path) -> None:
    refusal(rewrite(stored, tmp_path / "m.zip", card=card))


def test_signed_payloads_of_others_build_nothing(stored, tmp_path) -> None:
    """A file whose digests hold may still name any function: it must not be called."""
    hostile = skops.io.dumps(FunctionTransformer(func=io.open_code))
    assert "untrusted" in refusal(rewrite(stored, tmp_path / "m.zip", payload=hostile))
    for payload in (b"", b"junk", skops.io.dumps({"a": 1}), skops.io.dumps(KNeighborsClassifier())):
        refusal(rewrite(stored, tmp_path / "m.zip", payload=payload))


@pytest.mark.parametrize("module", ["os", "builtins", "twin.prognosis.saved", "nowhere"])
def test_a_schema_that_names_a_callable_is_refused(module, stored, tmp_path) -> None:
    with zipfile.ZipFile(stored) as archive:
        inner = zipfile.ZipFile(io.BytesIO(archive.read("model.skops")))
    schema = json.loads(inner.read("schema.json"))
    schema["__module__"], schema["__class__"] = module, "system"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name in inner.namelist():
            target.writestr(name, json.dumps(schema) if name == "schema.json" else inner.read(name))
    assert "untrusted" in refusal(rewrite(stored, tmp_path / "m.zip", payload=buffer.getvalue()))


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.json", "{}")
        with archive.open("model.skops", "w") as file:
            for _ in range(260):
                file.write(bytes(2**20))
    assert "unpacks to more" in refusal(tmp_path / "bomb.zip")


@pytest.mark.parametrize("path", [None, 5, b"x", [], "", "a\0b"])
def test_a_path_that_is_none_is_refused(path, models, tmp_path) -> None:
    model = models["failure", "logistic"]
    for asked in (lambda: load(path), lambda: save(model, path)):
        with pytest.raises(BadRequest, match="must be given by its path") as caught:
            asked()
        assert "\n" not in str(caught.value)
