"""`Workbench`: the plant with what stands above it, as `twin.open` returns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin.errors import BadRequest
from twin.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from twin.live.dashboard import Dashboard
    from twin.policy import PolicyLike
    from twin.prognosis.spec import FeatureSpec
    from twin.worth import Evaluation


class Workbench(Plant):
    """A plant, the screens to drive and watch it, and what is made of its telemetry."""

    def live(
        self,
        *,
        speed: float = 60.0,
        playing: bool = True,
        model: Any = None,
        rul: Any = None,
        diagnosis: Any = None,
        **options: Any,
    ) -> Dashboard:
        """Return a control room in which the plant runs by the clock.

        A session of this process that drives the same plant is stopped. What is seen is stored as a run
        within a second, and can be replayed.

        Parameters
        ----------
        speed : float
            Seconds of the plant in a second, 0.1 to 10,000.
        playing : bool
            Whether time passes from the beginning; otherwise drive it with ``.session.advance(ticks)`` and
            ``.update_now()``.
        model, rul, diagnosis : FittedModel or path, optional
            Models of failure, remaining life and diagnosis for the prediction panel, fitted or saved; more can be
            said by ``.prediction.use``.
        **options
            As for `twin.live.LiveSession`: ``start``, ``machines``, ``interval``, ``rate_hz``, ``seed``,
            ``wear``, ``policy``, ``name``, ``store``, ``resume``.

        Returns
        -------
        Dashboard
            A widget; ``.session`` is the `twin.live.LiveSession`.
        """
        from twin.live.dashboard import Dashboard
        from twin.live.session import LiveSession, stop_former

        models = _models(model, rul, diagnosis)
        stop_former(self.path)
        session = LiveSession(self, speed=speed, **options)
        if playing:
            session.start()
        return Dashboard(session, start=playing, models=models)

    def watch(
        self,
        run: int | str = "latest",
        every_s: float = 1.0,
        *,
        model: Any = None,
        rul: Any = None,
        diagnosis: Any = None,
    ) -> Dashboard:
        """Return the same control room for a session that another process drives: to be seen, not to be touched.

        Parameters
        ----------
        run : int or str
            The session's run; ``"latest"``: the newest session of the plant.
        every_s : float
            Time between two looks at the plant's file, s.
        model, rul, diagnosis : FittedModel or path, optional
            As of `live`.
        """
        from twin.live.dashboard import Dashboard
        from twin.live.follow import Follower

        models = _models(model, rul, diagnosis)
        return Dashboard(Follower(self, run, every_s).start(), models=models)

    def features(self, run: Any, spec: FeatureSpec | None = None, **which: Any) -> pd.DataFrame:
        """Return the features of a run (or of its number): see `twin.prognosis.features.features`."""
        from twin.prognosis.features import features

        return features(self._run_of(run), spec, **which)

    def labels(self, run: Any, at: Any, horizon: Any = "7d", **options: Any) -> pd.DataFrame:
        """Return what happens after the times of features, from the truth: see `twin.prognosis.labels.labels`."""
        from twin.prognosis.labels import labels

        return labels(self._run_of(run), at, horizon, **options)

    def evaluate(
        self,
        policies: Mapping[str, PolicyLike] | None = None,
        horizon: Any = "730d",
        replications: int = 20,
        **options: Any,
    ) -> Evaluation:
        """Return what maintenance policies cost on the same worlds: see `twin.worth.evaluate`."""
        from twin.worth import evaluate

        return evaluate(self, policies, horizon, replications, **options)

    def _run_of(self, run: Any) -> Any:
        return run if hasattr(run, "plan") else self.runs.get(run)


def _models(failure: Any, rul: Any, diagnosis: Any) -> dict[str, Any] | None:
    """Return models by task, after a look at whether they belong together: before anything begins."""
    if failure is None:
        if rul is not None or diagnosis is not None:
            raise BadRequest("rul= and diagnosis= go with a model of failure: give that as model=")
        return None
    from twin.prognosis.live import Prognosis

    return Prognosis(failure, rul, diagnosis).models
