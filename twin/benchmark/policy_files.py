"""Submissions for policy tasks: a JSON file of rules, and of models that ask for work beside them.

Such as ``["periodic:90d", {"model": "failure.model", "diagnosis": "mode.model", "threshold": 0.5, "every": "2d"}]``;
paths are relative to the file. Models are files of `twin.prognosis.saved`, which run no code when they are read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.benchmark.policy_task import EVERY
from twin.benchmark.tasks import Task
from twin.errors import BadRequest, shown, unknown
from twin.policy import PolicyLike, decided_by, parse
from twin.prognosis.policies import Predictive, treatments
from twin.prognosis.saved import load
from twin.prognosis.spec import FeatureSpec

if TYPE_CHECKING:
    from twin.plant import Plant
    from twin.prognosis.fitted import FittedModel

MOST_BYTES = 2**20
MOST_PARTS = 20
FIELDS = ("model", "diagnosis", "threshold", "every", "action")


def read_policy(path: Path, task: Task, plant: Plant) -> PolicyLike:
    """Return the policy of a submission.

    Raises
    ------
    BadRequest
        One line on what is wrong with the file, a rule, or a model.
    """
    parts = _parts(path)
    known = treatments(task.world.plan(plant))
    policy = [_part(part, k, path, known) for k, part in enumerate(parts, 1)]
    parse(policy)
    return policy


def _parts(path: Path) -> list[Any]:
    if path.suffix.lower() != ".json":
        raise BadRequest(f"a policy is submitted as a .json file, got {shown(str(path))}")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadRequest(f"{path} has more than {MOST_BYTES >> 20} MB; a policy is a short list")
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadRequest(f"there is no file {path}; give the path of a submission") from None
    except OSError as error:
        raise BadRequest(f"cannot read {path}: {error.strerror or 'no readable file'}") from None
    except (ValueError, RecursionError):
        raise BadRequest(f'{path} is no JSON; write a list of rules such as ["periodic:90d"]') from None
    if not isinstance(found, list) or not 1 <= len(found) <= MOST_PARTS:
        raise BadRequest(f"{path} must hold a list of 1 to {MOST_PARTS} rules and models, got {shown(found)}")
    return found


def _part(part: Any, number: int, path: Path, known: dict[str, str]) -> Any:
    if isinstance(part, str):
        parse(part)
        return part
    if not isinstance(part, dict) or "model" not in part:
        raise BadRequest(
            f'{path}: part {number} must be a rule such as "periodic:90d" or {{"model": "failure.model"}}, '
            f"got {shown(part)}"
        )
    for field in part:
        if field not in FIELDS:
            raise unknown(f"field of part {number}", field, FIELDS)
    model = _model(part["model"], path, "failure")
    diagnosis = None if part.get("diagnosis") is None else _model(part["diagnosis"], path, "diagnosis")
    if diagnosis is not None and diagnosis.card.spec != model.card.spec:
        raise BadRequest(
            f"{path}: part {number}: model and diagnosis were trained on other features; train both on the same"
        )
    scorers: list[Any] = [model, diagnosis]
    options = {name: part[name] for name in ("threshold", "action") if name in part}
    policy = Predictive(scorers[0], known, FeatureSpec.of(**model.card.spec), diagnosis=scorers[1], **options)
    return (decided_by(policy, every=part.get("every", EVERY), name=f"model {number}"), policy)


def _model(name: Any, path: Path, task: str) -> FittedModel:
    if not isinstance(name, str):
        raise BadRequest(f"{path}: a model is named by its file, got {shown(name)}")
    model = load(path.parent / name)
    if model.card.task != task:
        raise BadRequest(f"{name} is a model for {model.card.task}; a model for {task} is wanted")
    if not isinstance(model.card.spec, dict):
        raise BadRequest(f"{name} does not say which features it takes; train it with spec=")
    return model
