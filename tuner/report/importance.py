"""How important Optuna finds each parameter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import optuna
from optuna.trial import FrozenTrial

from tuner.model import Direction
from tuner.report.material import Material


def importances(material: Material) -> Mapping[str, float] | str:
    """By PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023), summing to 1; a reason where there are none."""
    study, position = material.study.store.study, material.position or 0
    sign = -1.0 if material.objective.direction is Direction.MAXIMIZE else 1.0

    def lower_is_better(trial: FrozenTrial) -> float:
        return sign * float(trial.values[position])

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # experimental, and which way is better: both are known
            found = optuna.importance.get_param_importances(
                study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(), target=lower_is_better
            )
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        return f"Optuna cannot tell from these trials: {error}"
    if not found or sum(found.values()) <= 0:
        return "Optuna finds no parameter more important than another, or there is one only"
    return dict(found)
