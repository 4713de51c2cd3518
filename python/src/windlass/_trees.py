"""Grows boosted trees with LightGBM or XGBoost, for `CREATE MODEL` with `model_type = 'boosted_tree_…'`.

The engine hands over numbers: features, with the number of its category in place of a text and NaN in place of
what is missing; the label; and which rows are kept for evaluation. Rows come in one order, threads and seed are
given, so the same rows give the same bytes. What comes back is the library's own file with the categories in
it, which the engine scores without Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

# More leaves than this is more than LightGBM takes.
_MOST_LEAVES = 131_072


@dataclass
class Rows:
    """Features and labels of the rows of one part."""

    columns: list[Any]
    labels: Any
    weights: Any


def train(batch: pa.RecordBatch, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the parts of the answer: the model's file, and how training went."""
    columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
    features, labels, kept = columns[:-2], columns[-2], columns[-1].astype(bool)
    training, evaluation = _part(features, labels, ~kept), _part(features, labels, kept)
    if settings["auto_class_weights"]:
        training.weights = _balanced(training.labels)
    grow = {"lightgbm": _lightgbm, "xgboost": _xgboost}[settings["library"]]
    # Without rows for evaluation, progress is that on the rows that are learned from.
    name, data, iterations = grow(training, evaluation if kept.any() else training, settings)
    yield {"kind": "file", "name": name, "text": settings["library"], "data": data}
    yield {"kind": "param", "name": "iterations", "text": str(iterations)}


def _part(features: list[Any], labels: Any, chosen: Any) -> Rows:
    return Rows([column[chosen] for column in features], labels[chosen], None)


def _balanced(labels: Any) -> Any:
    """Returns weights that make both classes count the same."""
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return (len(labels) / (len(classes) * counts))[places]


class _Progress:
    """Says when an iteration gains less than it should."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.least = settings["min_rel_progress"] if settings["early_stop"] else None
        self.losses: list[float] = []

    def is_over(self, loss: float) -> bool:
        """Takes the loss of an iteration; returns whether it is the last."""
        self.losses.append(loss)
        if self.least is None or len(self.losses) < 2:
            return False
        before, now = self.losses[-2:]
        return before - now < self.least * abs(before)

    def kept(self) -> int:
        """Returns how many iterations to keep: the last one only if it was a gain."""
        if self.least is not None and len(self.losses) > 1 and self.losses[-1] > self.losses[-2]:
            return len(self.losses) - 1
        return len(self.losses)


def _lightgbm(training: Rows, evaluation: Rows, settings: dict[str, Any]) -> tuple[str, bytes, int]:
    import lightgbm

    categorical = [at for at, listed in enumerate(settings["categories"]) if listed is not None]
    is_classifier = settings["task"] == "classification"
    params = {
        "objective": "binary" if is_classifier else "regression",
        "metric": "binary_logloss" if is_classifier else "l2",
        "boosting": "dart" if settings["booster_type"] == "dart" else "gbdt",
        "learning_rate": settings["learn_rate"],
        "max_depth": settings["max_tree_depth"],
        "num_leaves": min(2 ** settings["max_tree_depth"], _MOST_LEAVES),
        "min_sum_hessian_in_leaf": settings["min_tree_child_weight"],
        "min_data_in_leaf": 1,
        "min_gain_to_split": settings["min_split_loss"],
        "bagging_fraction": settings["subsample"],
        "bagging_freq": 1 if settings["subsample"] < 1 else 0,
        "feature_fraction": settings["colsample_bytree"],
        "feature_fraction_bynode": settings["colsample_bynode"],
        "lambda_l1": settings["l1_reg"],
        "lambda_l2": settings["l2_reg"],
        "seed": settings["seed"],
        "num_threads": settings["threads"],
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }

    def dataset(rows: Rows, reference: Any = None) -> Any:
        return lightgbm.Dataset(
            np.column_stack(rows.columns),
            rows.labels,
            weight=rows.weights,
            reference=reference,
            # Names of columns may have signs that its file has no place for.
            feature_name=[f"f{at}" for at in range(len(rows.columns))],
            categorical_feature=categorical,
            params=dict(params),
        )

    progress = _Progress(settings)

    def after_iteration(env: Any) -> None:
        found = env.evaluation_result_list[0]
        if progress.is_over(found[2]):
            raise lightgbm.callback.EarlyStopException(env.iteration, env.evaluation_result_list)

    learned = dataset(training)
    measured = learned if evaluation is training else dataset(evaluation, learned)
    booster = lightgbm.train(
        params,
        learned,
        num_boost_round=settings["max_iterations"],
        valid_sets=[measured],
        callbacks=[after_iteration],
    )
    # Its file then leads from a text to the number that it was trained with.
    booster.pandas_categorical = [settings["categories"][at] for at in categorical] or None
    iterations = progress.kept()
    text = booster.model_to_string(num_iteration=iterations)
    return "model.txt", text.encode(), iterations


def _xgboost(training: Rows, evaluation: Rows, settings: dict[str, Any]) -> tuple[str, bytes, int]:
    import xgboost

    is_classifier = settings["task"] == "classification"
    params = {
        "objective": "binary:logistic" if is_classifier else "reg:squarederror",
        "eval_metric": "logloss" if is_classifier else "rmse",
        "booster": settings["booster_type"],
        "tree_method": "hist",
        "learning_rate": settings["learn_rate"],
        "max_depth": settings["max_tree_depth"],
        "num_parallel_tree": settings["num_parallel_tree"],
        "min_child_weight": settings["min_tree_child_weight"],
        "min_split_loss": settings["min_split_loss"],
        "subsample": settings["subsample"],
        "colsample_bytree": settings["colsample_bytree"],
        "colsample_bylevel": settings["colsample_bylevel"],
        "colsample_bynode": settings["colsample_bynode"],
        "reg_alpha": settings["l1_reg"],
        "reg_lambda": settings["l2_reg"],
        "seed": settings["seed"],
        "nthread": settings["threads"],
        "verbosity": 0,
    }

    def column(values: Any, listed: list[str] | None) -> pa.Array:
        if listed is None:
            return pa.array(values)
        codes = pa.array(np.where(np.isnan(values), 0, values).astype(np.int32), mask=np.isnan(values))
        return pa.DictionaryArray.from_arrays(codes, pa.array(listed, pa.string()))

    def matrix(rows: Rows) -> Any:
        columns = [column(*pair) for pair in zip(rows.columns, settings["categories"], strict=True)]
        table = pa.table(columns, names=[f"f{at}" for at in range(len(columns))])
        return xgboost.DMatrix(
            table, label=rows.labels, weight=rows.weights, enable_categorical=True, nthread=settings["threads"]
        )

    progress = _Progress(settings)

    class AfterIteration(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, Any]) -> bool:
            (losses,) = next(iter(evals_log.values())).values()
            return progress.is_over(losses[-1])

    learned = matrix(training)
    measured = learned if evaluation is training else matrix(evaluation)
    booster = xgboost.train(
        params,
        learned,
        num_boost_round=settings["max_iterations"],
        evals=[(measured, "rows")],
        callbacks=[AfterIteration()],
        verbose_eval=False,
    )
    iterations = progress.kept()
    if iterations < booster.num_boosted_rounds():
        booster = booster[:iterations]
    return "model.ubj", bytes(booster.save_raw("ubj")), iterations
