"""Makes a fitted model a file that the engine scores without Python, or says why it cannot.

Linear and logistic models of scikit-learn, with what stands before them, become numbers of our own (`_linear`); its
boosting, and its forests that predict a number, become the text of LightGBM (`_forest`). LightGBM and XGBoost write
their own files; everything else becomes ONNX where the environment has skl2onnx (`_onnx`). A pickle is written only where
the model asks for it: workers have to open it to score.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from windlass import _forest, _linear, _onnx
from windlass._failure import ModelError
from windlass._linear import UnknownStepError

# Rows that are scored on both sides.
_SAMPLE = 1_000


@dataclass
class Exported:
    """A model's file, and what is known of it."""

    format: str
    name: str
    data: bytes
    # `classification` or `regression`.
    task: str
    # What the code returned, in words.
    estimator: str
    classes: list[Any] | None = None
    # Returns one number a row and class, out of features as `frame` has them.
    answer: Callable[[Any], Any] | None = None
    # Whether `answer` gets a frame with names, or a matrix.
    by_name: bool = True


def export(model: Any, settings: dict[str, Any]) -> Exported:
    """Returns a fitted model as a file.

    Raises `ModelError` where it cannot be scored without Python; the text says what to do.
    """
    features, kinds = settings["features"], settings["kinds"]
    if settings.get("keep") == "pickle":
        return _pickled(model, features)
    if isinstance(model, (bytes, bytearray, memoryview)):
        return _of_onnx(bytes(model), settings)
    package = type(model).__module__.partition(".")[0]
    kind = type(model).__name__
    if package == "onnx" and hasattr(model, "SerializeToString"):
        return _of_onnx(model.SerializeToString(deterministic=True), settings)
    if package == "lightgbm":
        return _of_lightgbm(model, settings)
    if package == "xgboost":
        return _of_xgboost(model, settings)
    if not hasattr(model, "predict"):
        raise ModelError(
            f"training returned a {package}.{kind}: return a fitted estimator of scikit-learn, LightGBM or "
            "XGBoost, or the bytes of an ONNX model"
        )
    _check_fitted(model, features)
    exported = Exported("windlass", "model.json", b"", _task(model), _words(model), _classes(model))
    exported.answer = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    exported.by_name = getattr(model, "feature_names_in_", None) is not None
    forest = _forest.to_text(model, features)
    if forest is not None:
        exported.format, exported.name, exported.data = "lightgbm", "model.txt", forest
        return exported
    try:
        exported.data = _linear.to_json(model, features, kinds)
    except UnknownStepError as unknown:
        exported.format, exported.name = "onnx", "model.onnx"
        exported.data = _onnx.convert(model, features, kinds, str(unknown))
    if exported.task == "classification" and not hasattr(model, "predict_proba"):
        raise ModelError(f"{kind} answers no probabilities, which scoring a class needs: take one with `predict_proba`")
    return exported


def _pickled(model: Any, features: list[str]) -> Exported:
    """Returns an estimator as workers open it again."""
    import pickle

    if not hasattr(model, "predict"):
        raise ModelError(f"training returned a {type(model).__name__}, which has no `predict`: return what scores")
    if getattr(model, "feature_names_in_", None) is not None or getattr(model, "n_features_in_", None) is not None:
        _check_fitted(model, features)
    task = _task(model)
    if task == "classification" and not hasattr(model, "predict_proba"):
        raise ModelError(
            f"{type(model).__name__} answers no probabilities, which scoring a class needs: take one with `predict_proba`"
        )
    try:
        data = pickle.dumps(model, protocol=5)
    except Exception as err:
        raise ModelError(
            f"{type(model).__name__} cannot be pickled: {err}; what it is made from has to stand at the top of a module"
        ) from None
    return Exported("pickle", "model.pkl", data, task, _words(model), _classes(model))


def sampled(exported: Exported, features: pa.RecordBatch) -> tuple[list[int], bytes] | None:
    """Returns some rows by their places with what the library answers for them; `None` where it cannot say."""
    if exported.answer is None or not features.num_rows:
        return None
    step = max(1, features.num_rows // _SAMPLE)
    places = list(range(0, features.num_rows, step))[:_SAMPLE]
    for chosen in (places, _without_gaps(features, places)):
        # What it does not answer, such as rows with gaps, is not compared.
        with contextlib.suppress(Exception):
            import numpy as np

            given = frame(features.take(pa.array(chosen, pa.int64())), exported.by_name)
            answers = np.ascontiguousarray(exported.answer(given), dtype=np.float64)
            if len(answers) == len(chosen) and chosen:
                return chosen, answers.tobytes()
    return None


def _without_gaps(features: pa.RecordBatch, places: list[int]) -> list[int]:
    def is_gap(value: Any) -> bool:
        return value is None or value != value

    columns = [column.to_pylist() for column in features.columns]
    return [place for place in places if not any(is_gap(column[place]) for column in columns)]


def frame(features: pa.RecordBatch, by_name: bool) -> Any:
    """Returns features as estimators take them: numbers as doubles, texts as texts, by name or as a matrix."""
    import numpy as np

    columns = {}
    for name, column in zip(features.schema.names, features.columns, strict=True):
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        columns[name] = column.to_numpy(False) if is_text else column.cast(pa.float64()).to_numpy(False)
    if not by_name:
        return np.column_stack(list(columns.values()))
    try:
        from pandas import DataFrame
    except ImportError:
        from polars import DataFrame
    return DataFrame(columns)


def _task(model: Any) -> str:
    tags = getattr(model, "_estimator_type", None)
    if tags is None:
        with contextlib.suppress(Exception):
            from sklearn.base import is_classifier

            tags = "classifier" if is_classifier(model) else "regressor"
    return "classification" if tags == "classifier" or hasattr(model, "predict_proba") else "regression"


def _classes(model: Any) -> list[Any] | None:
    classes = getattr(model, "classes_", None)
    return None if classes is None else list(getattr(classes, "tolist", lambda: list(classes))())


def _words(model: Any) -> str:
    steps = getattr(model, "steps", None)
    return type(steps[-1][1]).__name__ if steps else type(model).__name__


def _check_fitted(model: Any, features: list[str]) -> None:
    """Refuses a model that reads other columns than are declared."""
    names = getattr(model, "feature_names_in_", None)
    if names is not None:
        _check_names([str(name) for name in names], features)
        return
    try:
        count = getattr(model, "n_features_in_", None)
    except Exception:
        count = None
    if count is None:
        raise ModelError(f"{type(model).__name__} is not fitted: call `fit` before it is returned")
    _check_count(int(count), features)


def _check_names(names: list[str], features: list[str]) -> None:
    if names != features:
        raise ModelError(
            f"the model was fitted on {_listed(names)}, and its features are {_listed(features)}: "
            "name in `features=[...]` what it reads, in this order"
        )


def _check_count(count: int, features: list[str]) -> None:
    if count != len(features):
        raise ModelError(
            f"the model was fitted on {count} columns, and its features are {_listed(features)}: "
            "name in `features=[...]` what it reads, in its order"
        )


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"


def _of_onnx(data: bytes, settings: dict[str, Any]) -> Exported:
    task = settings.get("task") or "regression"
    return Exported("onnx", "model.onnx", data, task, "ONNX", settings.get("label_classes"))


def _of_lightgbm(model: Any, settings: dict[str, Any]) -> Exported:
    features = settings["features"]
    booster = getattr(model, "booster_", model)
    names = booster.feature_name()
    if all(name == f"Column_{at}" for at, name in enumerate(names)):
        _check_count(len(names), features)
    else:
        # It has no blanks in names.
        _check_names(names, [name.replace(" ", "_") for name in features])
    objective = str(booster.params.get("objective", "")) if booster is model else str(model.objective_)
    is_classifier = objective.startswith(("binary", "multiclass"))
    exported = Exported(
        "lightgbm",
        "model.txt",
        booster.model_to_string().encode(),
        "classification" if is_classifier else "regression",
        type(model).__name__,
    )
    if is_classifier:
        exported.classes = _classes(model) if booster is not model else settings.get("label_classes")
    exported.by_name = _has_pandas()
    exported.answer = _answer_of_trees(lambda frame: booster.predict(frame), is_classifier)
    return exported


def _of_xgboost(model: Any, settings: dict[str, Any]) -> Exported:
    import math

    import xgboost

    booster = model if isinstance(model, xgboost.Booster) else model.get_booster()
    missing = getattr(model, "missing", math.nan)
    if missing is not None and not math.isnan(missing):
        raise ModelError(f"XGBoost was told that {missing} stands for a missing value: leave such values NULL")
    if booster.feature_names is not None:
        _check_names(list(booster.feature_names), settings["features"])
    else:
        _check_count(booster.num_features(), settings["features"])
    import json

    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    is_classifier = objective in ("binary:logistic", "multi:softprob", "multi:softmax")
    exported = Exported(
        "xgboost",
        "model.ubj",
        bytes(booster.save_raw("ubj")),
        "classification" if is_classifier else "regression",
        type(model).__name__,
    )
    if is_classifier:
        exported.classes = _classes(model) if booster is not model else settings.get("label_classes")
    best = booster.attributes().get("best_iteration")
    until = (0, int(best) + 1) if best is not None else (0, 0)

    def predict(frame: Any) -> Any:
        matrix = xgboost.DMatrix(frame, enable_categorical=True)
        # A matrix has no names, and neither has a model that was fitted on one.
        matrix.feature_names = booster.feature_names
        return booster.predict(matrix, iteration_range=until)

    if objective != "multi:softmax":
        exported.by_name = _has_pandas()
        exported.answer = _answer_of_trees(predict, is_classifier)
    return exported


def _has_pandas() -> bool:
    return importlib.util.find_spec("pandas") is not None


def _answer_of_trees(predict: Callable[[Any], Any], is_classifier: bool) -> Callable[[Any], Any]:
    """Returns what a booster answers, with texts as the categories that it was trained on."""

    def answer(frame: Any) -> Any:
        import numpy as np

        if hasattr(frame, "columns"):
            texts = [name for name in frame.columns if frame[name].dtype.kind not in "fiub"]
            frame = frame.astype(dict.fromkeys(texts, "category"))
        found = np.asarray(predict(frame), dtype=np.float64)
        if is_classifier and found.ndim == 1:
            return np.column_stack([1 - found, found])
        return found

    return answer
