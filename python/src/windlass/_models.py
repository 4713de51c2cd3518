"""Models that Python scores: what loads each once per worker, and how its answers become a column.

The column is a struct: what the model answers for a row, and `failure`, why it could not, which is NULL where it
could. So a row that raises fails alone, and never the query. An answer of another shape or type than is declared is
a mistake of the code, whatever the rows, and fails the batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from windlass import _context, _load
from windlass._arguments import Arguments
from windlass._conform import Column
from windlass._failure import WHOLE, OutputError, clip, describe
from windlass._formats import FORMATS, np
from windlass._isolate import Limits, isolate
from windlass._program import Clean

# Given a batch of the inputs, returns what the model answers.
Predict = Callable[[pa.RecordBatch], Any]


class LoadFailedError(Exception):
    """A model that cannot be loaded; `failure` says why, and what to do."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told["message"])
        self.failure = told


class Answered(NamedTuple):
    """The column for a batch, the calls that it took, and whether the worker is better replaced."""

    column: pa.Array
    calls: int
    recycle: bool


def load(call: dict[str, Any], roots: tuple[str, ...]) -> Predict:
    """Loads the model of a call.

    Raises `LoadFailedError`, whose text names the model, its file and the way out.
    """
    settings = call["model"]
    try:
        return _LOADERS[settings["loader"]](call, settings)
    except BaseException as err:
        told = describe(err, "model", roots)
        text = told["message"] if isinstance(err, _load.LoadError) else f"{told['type']}: {told['message']}"
        told["message"] = clip(f"model `{settings['name']}` cannot be loaded from {settings['file']}: {text}", 4096)
        told["way_out"] = _way_out(err, settings)
        raise LoadFailedError(told) from None


def _way_out(err: BaseException, settings: dict[str, Any]) -> str:
    is_of_mlflow = settings["loader"] in ("sklearn", "pyfunc")
    if isinstance(err, ModuleNotFoundError):
        if is_of_mlflow:
            return (
                f"its `requirements.txt` at MLflow lacks the package of `{err.name}`: log it anew with "
                "`extra_pip_requirements`, or with `code_paths` where the module is your own"
            )
        return f"name the package of `{err.name}` in the `# /// script` block of {settings['file']}"
    if isinstance(err, FileNotFoundError) and settings["loader"] == "class":
        return "name the file among the model's `artifacts`, and open `artifacts[name]`"
    if settings["loader"] == "pickle":
        return f"train it again with the packages as they are now: windlass run --no-cache {settings['name']}"
    if is_of_mlflow:
        return "see that `mlflow.pyfunc.load_model` loads it with the packages of its own `requirements.txt`"
    return "it is constructed once per worker, with a dict of its artifacts' paths where it has artifacts"


def _class(call: dict[str, Any], settings: dict[str, Any]) -> Predict:
    kind = _load.load_object(call["file"], call["object"])
    if not callable(getattr(kind, "predict", None)):
        raise _load.LoadError(f"class `{call['object']}` has no `predict(self, rows)`")
    artifacts = settings["artifacts"]
    model = kind(dict(artifacts)) if artifacts else kind()
    form = FORMATS[call["batch_format"]](_schema(settings))
    return lambda rows: model.predict(form.show(rows)[0])


def _pickle(call: dict[str, Any], settings: dict[str, Any]) -> Predict:
    import pickle

    # What its classes are may stand in the module that trained it.
    _load.load_file(call["file"])
    with open(os.path.join(settings["folder"], settings["main"]), "rb") as file:
        model = pickle.load(file)
    return _of_estimator(model, settings, _plain)


def _sklearn(call: dict[str, Any], settings: dict[str, Any]) -> Predict:
    _quiet_mlflow()
    import mlflow.sklearn

    return _of_estimator(mlflow.sklearn.load_model(settings["folder"]), settings, _typed)


def _pyfunc(call: dict[str, Any], settings: dict[str, Any]) -> Predict:
    _quiet_mlflow()
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(settings["folder"], suppress_warnings=True)
    form = FORMATS["pandas"](_schema(settings))
    return lambda rows: model.predict(form.show(rows)[0])


_LOADERS = {"class": _class, "pickle": _pickle, "sklearn": _sklearn, "pyfunc": _pyfunc}


def _quiet_mlflow() -> None:
    # MLflow asks whether the model may run code. Whoever names it in the project has said so, and this is a worker.
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def _of_estimator(model: Any, settings: dict[str, Any], frame: Callable[[pa.RecordBatch, bool], Any]) -> Predict:
    by_name = getattr(model, "feature_names_in_", None) is not None
    classes = settings.get("classes")
    if not classes:
        return lambda rows: model.predict(frame(rows, by_name))
    if not hasattr(model, "predict_proba"):
        raise TypeError(f"{type(model).__name__} answers no probabilities (`predict_proba`), which `classes` ask for")
    found = len(getattr(model, "classes_", classes))
    if found != classes:
        raise ValueError(f"it tells {found} classes apart, and {classes} are given")
    return lambda rows: model.predict_proba(frame(rows, by_name))


def _plain(rows: pa.RecordBatch, by_name: bool) -> Any:
    from windlass._export import frame

    return frame(rows, by_name)


def _typed(rows: pa.RecordBatch, by_name: bool) -> Any:
    shown = FORMATS["pandas"](rows.schema).show(rows)[0]
    return shown if by_name else shown.to_numpy()


def _schema(settings: dict[str, Any]) -> pa.Schema:
    # Formats ask for the types of columns when they see a batch, or here for NumPy.
    return pa.schema([pa.field(name, _TYPES[kind]) for name, kind in settings["inputs"]])


_TYPES = {
    "boolean": pa.bool_(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "datetime": pa.timestamp("us", "UTC"),
}


class ModelCall:
    """One call of a model, with its arguments by place."""

    def __init__(self, spec: dict[str, Any], predict: Predict, field: pa.Field, limits: Limits) -> None:
        settings = spec["model"]
        self.predict = predict
        self.file = spec.get("file")
        self.name = settings["name"]
        self.names = [name for name, _ in settings["inputs"]]
        self.required = [self.names.index(name) for name in settings.get("required") or []]
        self.classes = settings.get("classes")
        self.arguments = Arguments(spec["args"])
        self.column = Column(field)
        self.answers = [Column(field.type.field(at)) for at in range(field.type.num_fields - 1)]
        self.limits = limits
        self.clean = Clean()

    def run(
        self, batch: pa.RecordBatch, constants: pa.RecordBatch | None, tell: Callable[[BaseException], dict[str, Any]]
    ) -> Answered:
        """Returns the column for every row of `batch`."""
        inputs = pa.RecordBatch.from_arrays(self.arguments.arrays(batch, constants), names=self.names)
        failures: dict[int, str] = {}
        for place in self.required:
            column = inputs.column(place)
            if column.null_count:
                gaps = pc.indices_nonzero(pc.is_null(column)).to_pylist()
                failures.update((row, failures.get(row, f"input `{self.names[place]}` is NULL")) for row in gaps)
        if not failures:
            return self._scored(inputs, tell)
        kept = [row for row in range(inputs.num_rows) if row not in failures]
        scored = self._scored(inputs.take(pa.array(kept, pa.int64())), tell)
        places: list[int | None] = [None] * inputs.num_rows
        for place, row in enumerate(kept):
            places[row] = place
        column = scored.column.take(pa.array(places, pa.int64()))
        return Answered(self._telling(column, failures), scored.calls, scored.recycle)

    def _scored(self, inputs: pa.RecordBatch, tell: Callable[[BaseException], dict[str, Any]]) -> Answered:
        rows = inputs.num_rows
        if not rows:
            return Answered(pa.nulls(0, self.column.type), 0, False)
        started = perf_counter()
        try:
            column = self._called(inputs)
        except WHOLE:
            raise
        except BaseException as err:
            first = tell(err)
        else:
            self.clean.add(rows, perf_counter() - started)
            return Answered(column, 1, False)
        return self._isolated(inputs, first, tell)

    def _isolated(
        self, inputs: pa.RecordBatch, first: dict[str, Any], tell: Callable[[BaseException], dict[str, Any]]
    ) -> Answered:
        def part(start: int, stop: int) -> pa.Array:
            return self._called(inputs.slice(start, stop - start))

        self.limits.exact = True
        self.limits.clean_seconds = self.clean.seconds(inputs.num_rows)
        segments, calls = isolate(part, inputs.num_rows, first, self.limits, tell)
        columns = []
        recycle = first["kind"] == "memory"
        for segment in segments:
            if segment.error is None:
                columns.append(segment.result)
                continue
            recycle = recycle or segment.error["kind"] == "memory"
            rows = segment.stop - segment.start
            why = f"{segment.error['type']}: {segment.error['message']}"
            if rows > 1:
                why = f"not isolated, one of {rows} rows raised: {why}"
            nothing = pa.nulls(rows, self.column.type)
            columns.append(self._telling(nothing, dict.fromkeys(range(rows), clip(why, 1024))))
        return Answered(pa.concat_arrays(columns), calls, recycle)

    def _called(self, inputs: pa.RecordBatch) -> pa.Array:
        rejects = _context.open_batch(inputs.num_rows)
        try:
            answers = self._conform(self.predict(inputs), inputs.num_rows)
        finally:
            _context.close_batch()
        failures = pa.nulls(inputs.num_rows, pa.string())
        column = pa.StructArray.from_arrays([*answers, failures], fields=list(self.column.type))
        return self._telling(column, rejects.reasons) if rejects.reasons else column

    def _telling(self, column: pa.Array, failures: dict[int, str]) -> pa.Array:
        """Returns a column with the reasons why rows have no answer."""
        *answers, told = (pa.concat_arrays([child]) for child in column.flatten())
        texts = told.to_pylist()
        for row, why in failures.items():
            texts[row] = why
        children = [*answers, pa.array(texts, pa.string())]
        return pa.StructArray.from_arrays(children, fields=list(self.column.type))

    def _conform(self, value: Any, rows: int) -> list[pa.Array]:
        if self.classes:
            return [self._probabilities(value, rows)]
        if len(self.answers) == 1:
            arrays = [self._column(self.answers[0], _only(value))]
        else:
            arrays = [self._column(column, _named(value, column.name, self._method())) for column in self.answers]
        for array in arrays:
            if len(array) != rows:
                raise OutputError(f"{self._method()} answered {len(array)} values for {rows} rows: answer one per row")
        return arrays

    def _column(self, column: Column, value: Any) -> pa.Array:
        try:
            return column.conform(value)
        except OutputError as err:
            text = str(err).removeprefix(f"column `{column.name}` ")
            raise OutputError(f"what {self._method()} answered {text}") from None

    def _probabilities(self, value: Any, rows: int) -> pa.Array:
        if np is None:
            raise OutputError(f"{self._method()} tells classes apart, which needs NumPy among the model's packages")
        if hasattr(value, "to_numpy"):
            value = value.to_numpy()
        found = np.asarray(value)
        if found.ndim == 1 and self.classes == 2 and found.dtype.kind == "f":
            found = np.column_stack([1.0 - found, found])
        if found.shape != (rows, self.classes) or found.dtype.kind not in "fiu":
            shape = " x ".join(str(size) for size in found.shape)
            raise OutputError(
                f"{self._method()} answered {shape} values of type {found.dtype} for {rows} rows and {self.classes} "
                "classes: answer the probability of each class (of a model at MLflow: log it with "
                '`pyfunc_predict_fn="predict_proba"`), or say `output` in place of `classes`'
            )
        flat = pa.array(np.ascontiguousarray(found, dtype=np.float64).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, self.classes)

    def _method(self) -> str:
        return f"`predict` of model `{self.name}`"


def _only(value: Any) -> Any:
    """Returns the one column of an answer."""
    if isinstance(value, dict) and len(value) == 1:
        return next(iter(value.values()))
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape) == 2 and shape[1] == 1:
        if hasattr(value, "iloc"):
            return value.iloc[:, 0]
        return value[:, 0] if np is not None and isinstance(value, np.ndarray) else value.to_series()
    if isinstance(value, pa.Table) and value.num_columns == 1:
        return value.column(0)
    return value


def _named(value: Any, name: str, method: str) -> Any:
    """Returns a column of an answer by its name."""
    try:
        return value[name]
    except (KeyError, TypeError, IndexError, ValueError):
        told = f"{method} answered no column `{name}`: answer a dict or a frame with all columns of `output`"
        raise OutputError(told) from None
    except BaseException as err:
        if type(err).__name__ == "ColumnNotFoundError":
            raise OutputError(f"{method} answered no column `{name}`") from None
        raise
