"""Makes linear and logistic models of scikit-learn numbers of the engine's own, with what stands before them.

A pipeline is followed from its inputs on: each column that a step answers is an input with a mean taken off and
divided by a scale, or one category of a text. Where a step does anything else it is unknown, and the model has to
become ONNX. What is written answers what the pipeline answers, to the rounding of a sum.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any

from windlass._failure import ModelError

# Estimators whose answer is a weighted sum.
_SUMS = (
    "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars", "LarsCV", "Lasso",
    "LassoCV", "LassoLars", "LassoLarsIC", "LinearRegression", "LinearSVR", "OrthogonalMatchingPursuit",
    "QuantileRegressor", "Ridge", "RidgeCV", "SGDRegressor", "TheilSenRegressor",
)  # fmt: skip
_LOGISTIC = ("LogisticRegression", "LogisticRegressionCV")


class UnknownStepError(Exception):
    """A step that is no weighted sum."""


@dataclass(frozen=True)
class Number:
    """An input as a number: `(value - mean) / scale`, with `fill` in place of a missing value."""

    column: str
    fill: float | None = None
    mean: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Text:
    """An input that holds texts, as it is; `fill` stands for a missing one."""

    column: str
    fill: str | None = None


@dataclass(frozen=True)
class Category:
    """Whether a text is one category; `None` is a missing one."""

    text: Text
    category: str | None


@dataclass
class _Encoding:
    """An input as the file has it, with the weight of each number that it becomes."""

    numbers: list[tuple[Number, list[float]]] = field(default_factory=list)
    categories: dict[str | None, list[float]] = field(default_factory=dict)
    fill: str | None = None


def to_json(model: Any, features: list[str], kinds: list[str]) -> bytes:
    """Returns a fitted model as the engine's own file. Raises `UnknownStepError` where it is no such model."""
    columns: list[Any] = [
        Text(name) if kind == "text" else Number(name) for name, kind in zip(features, kinds, strict=True)
    ]
    steps = [step for _, step in getattr(model, "steps", [("", model)])]
    for step in steps[:-1]:
        columns = _step(step, columns, features)
    estimator = steps[-1]
    name = type(estimator).__name__
    if type(estimator).__module__.partition(".")[0] != "sklearn" or name not in (*_SUMS, *_LOGISTIC):
        raise UnknownStepError(name)
    weights, intercepts = _weights(estimator, len(columns))
    encoded = _encode(columns, weights, features, kinds)
    rows = [[weight for entry in encoded for weight in entry[1][at]] for at in range(len(weights))]
    if name in _LOGISTIC:
        classes = estimator.classes_.tolist()
        told: dict[str, Any] = {"kind": "logistic", "classes": classes, "intercepts": intercepts, "weights": rows}
    else:
        told = {"kind": "linear", "intercept": intercepts[0], "weights": rows[0]}
    written = {"layout": 1, "features": [entry[0] for entry in encoded], "estimator": told}
    try:
        return json.dumps(written, allow_nan=False).encode()
    except ValueError:
        raise ModelError(f"a coefficient of {name} is no finite number: it has not converged") from None


def _weights(estimator: Any, width: int) -> tuple[list[list[float]], list[float]]:
    import numpy as np

    name = type(estimator).__name__
    coefficients = np.atleast_2d(np.asarray(getattr(estimator, "coef_", None), dtype=np.float64))
    intercepts = np.broadcast_to(np.asarray(estimator.intercept_, dtype=np.float64).ravel(), len(coefficients))
    if coefficients.shape[1] != width:
        raise UnknownStepError(name)
    if name not in _LOGISTIC:
        if len(coefficients) != 1:
            raise ModelError(f"{name} predicts {len(coefficients)} columns: a model predicts one")
    elif len(coefficients) > 1 and (
        estimator.solver == "liblinear" or getattr(estimator, "multi_class", None) == "ovr"
    ):
        # Each class against all others: not the probabilities that a softmax gives.
        raise UnknownStepError(name)
    return coefficients.tolist(), intercepts.tolist()


def _step(step: Any, columns: list[Any], features: list[str]) -> list[Any]:
    """Returns the columns that a step answers."""
    if step is None or step == "passthrough":
        return columns
    name = type(step).__name__
    if type(step).__module__.partition(".")[0] != "sklearn":
        raise UnknownStepError(name)
    if name == "Pipeline":
        for _, inner in step.steps:
            columns = _step(inner, columns, features)
        return columns
    steps = {
        "ColumnTransformer": _column_transformer,
        "OneHotEncoder": _one_hot,
        "SimpleImputer": _imputer,
        "StandardScaler": _standard_scaler,
        "MinMaxScaler": _min_max_scaler,
        "MaxAbsScaler": _max_abs_scaler,
        "RobustScaler": _robust_scaler,
    }
    known = steps.get(name)
    if known is None:
        raise UnknownStepError(name)
    return known(step, columns, features)


def _numbers(columns: list[Any], name: str) -> list[Number]:
    for column in columns:
        if not isinstance(column, Number):
            raise UnknownStepError(name)
    return columns


def _scaled(column: Number, mean: float, scale: float) -> Number:
    """Returns a column of which a mean is taken off and which is divided by a scale, after what was done before."""
    return replace(column, mean=column.mean + mean * column.scale, scale=column.scale * scale)


def _standard_scaler(step: Any, columns: list[Any], _features: list[str]) -> list[Any]:
    numbers = _numbers(columns, "StandardScaler")
    means = step.mean_.tolist() if step.with_mean else [0.0] * len(numbers)
    scales = step.scale_.tolist() if step.with_std else [1.0] * len(numbers)
    return [_scaled(*each) for each in zip(numbers, means, scales, strict=True)]


def _min_max_scaler(step: Any, columns: list[Any], _features: list[str]) -> list[Any]:
    numbers = _numbers(columns, "MinMaxScaler")
    if step.clip:
        raise UnknownStepError("MinMaxScaler")
    pairs = zip(numbers, step.min_.tolist(), step.scale_.tolist(), strict=True)
    return [_scaled(number, -least / scale, 1.0 / scale) for number, least, scale in pairs]


def _max_abs_scaler(step: Any, columns: list[Any], _features: list[str]) -> list[Any]:
    numbers = _numbers(columns, "MaxAbsScaler")
    return [_scaled(number, 0.0, scale) for number, scale in zip(numbers, step.scale_.tolist(), strict=True)]


def _robust_scaler(step: Any, columns: list[Any], _features: list[str]) -> list[Any]:
    numbers = _numbers(columns, "RobustScaler")
    means = step.center_.tolist() if step.with_centering else [0.0] * len(numbers)
    scales = step.scale_.tolist() if step.with_scaling else [1.0] * len(numbers)
    return [_scaled(*each) for each in zip(numbers, means, scales, strict=True)]


def _imputer(step: Any, columns: list[Any], _features: list[str]) -> list[Any]:
    marks = step.missing_values
    is_usual = marks is None or (isinstance(marks, float) and math.isnan(marks)) or str(marks) == "<NA>"
    if not is_usual or step.add_indicator or len(step.statistics_) != len(columns):
        raise UnknownStepError("SimpleImputer")
    filled = []
    for column, fill in zip(columns, step.statistics_.tolist(), strict=True):
        is_number = isinstance(column, Number)
        if isinstance(column, Category) or (is_number and not isinstance(fill, (int, float))):
            raise UnknownStepError("SimpleImputer")
        if is_number and math.isnan(fill):
            # scikit-learn leaves such a column out.
            raise UnknownStepError("SimpleImputer")
        if is_number:
            fill = float(fill) * column.scale + column.mean
        # What was filled before has no gaps any more.
        filled.append(column if column.fill is not None else replace(column, fill=fill))
    return filled


def _one_hot(step: Any, columns: list[Any], _features: list[str]) -> list[Any]:
    if step.handle_unknown != "ignore":
        raise ModelError(
            "OneHotEncoder raises for a text that training has not seen: write "
            '`OneHotEncoder(handle_unknown="ignore")`, so that it adds nothing'
        )
    if step.min_frequency is not None or step.max_categories is not None:
        raise UnknownStepError("OneHotEncoder")
    made: list[Any] = []
    for at, (column, categories) in enumerate(zip(columns, step.categories_, strict=True)):
        if not isinstance(column, Text):
            raise UnknownStepError("OneHotEncoder of numbers")
        dropped = None if step.drop_idx_ is None else step.drop_idx_[at]
        for number, category in enumerate(categories.tolist()):
            is_missing = category is None or category != category
            if not is_missing and not isinstance(category, str):
                raise UnknownStepError("OneHotEncoder of numbers")
            if dropped is None or number != dropped:
                made.append(Category(column, None if is_missing else category))
    return made


def _column_transformer(step: Any, columns: list[Any], features: list[str]) -> list[Any]:
    names = [str(name) for name in getattr(step, "feature_names_in_", [])]
    if len(columns) != step.n_features_in_ or (names and names != features):
        raise UnknownStepError("ColumnTransformer")
    made: list[Any] = []
    for _, transformer, chosen in step.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        taken = [columns[place] for place in _places(chosen, names, len(columns))]
        if taken:
            made += _step(transformer, taken, features)
    if step.transformer_weights:
        raise UnknownStepError("ColumnTransformer")
    return made


def _places(chosen: Any, names: list[str], width: int) -> list[int]:
    """Returns the places of columns that are named, numbered, sliced or masked."""
    if isinstance(chosen, slice) and not any(isinstance(end, str) for end in (chosen.start, chosen.stop)):
        return list(range(width))[chosen]
    listed = [chosen] if isinstance(chosen, (str, int)) else list(chosen)
    if listed and all(type(one).__name__ in ("bool", "bool_") for one in listed):
        return [at for at, one in enumerate(listed) if one]
    return [names.index(one) if isinstance(one, str) else range(width)[int(one)] for one in listed]


def _encode(
    columns: list[Any], weights: list[list[float]], features: list[str], kinds: list[str]
) -> list[tuple[dict[str, Any], list[list[float]]]]:
    """Returns each input with the weights of the numbers that it becomes, for each row of weights."""
    inputs = {name: _Encoding() for name in features}
    for at, column in enumerate(columns):
        of_column = [row[at] for row in weights]
        if isinstance(column, Number):
            inputs[column.column].numbers.append((column, of_column))
        elif isinstance(column, Category):
            encoding = inputs[column.text.column]
            before = encoding.categories.get(column.category, [0.0] * len(weights))
            encoding.categories[column.category] = [a + b for a, b in zip(before, of_column, strict=True)]
            encoding.fill = column.text.fill
        else:
            raise ModelError(
                f"`{column.column}` holds texts, and the model takes it for numbers: encode it with "
                '`OneHotEncoder(handle_unknown="ignore")`'
            )
    return [_feature(name, kind, inputs[name], len(weights)) for name, kind in zip(features, kinds, strict=True)]


def _feature(name: str, kind: str, encoding: _Encoding, rows: int) -> tuple[dict[str, Any], list[list[float]]]:
    if kind == "text":
        known = [category for category in encoding.categories if category is not None]
        missing = encoding.categories.get(encoding.fill) if encoding.fill is not None else encoding.categories.get(None)
        listed = [encoding.categories[category] for category in known] + ([missing] if missing else [])
        told = {"kind": "one_hot", "categories": known, "has_null": missing is not None}
        return {"column": name, "encoding": told}, [[one[at] for one in listed] for at in range(rows)]
    if not encoding.numbers:
        # Nothing comes of it, whatever it holds.
        return _number(name, Number(name, fill=0.0)), [[0.0]] * rows
    if len(encoding.numbers) > 1:
        raise UnknownStepError("a column that is used twice")
    number, of_number = encoding.numbers[0]
    return _number(name, number), [[weight] for weight in of_number]


def _number(name: str, number: Number) -> dict[str, Any]:
    told = {"kind": "number", "fill": number.fill, "mean": number.mean, "scale": number.scale}
    return {"column": name, "encoding": told}
