"""Trains a model in a worker: all rows in one batch, the model's file with what was logged as the answer.

The answer is a table of its own: a row for each file, metric and parameter, and one each for the classes, what
the model predicts and, of some rows, what the library itself answers, which the engine holds against its own scores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from windlass import _context
from windlass._failure import ModelError
from windlass._formats import FORMATS
from windlass._output import FRESH
from windlass._program import Outcome, Program, roots


class TrainingData:
    """The rows that a model is trained on, as often and in as many forms as the code asks for.

    All that it hands out are copies, which may be written to.
    """

    def __init__(self, batch: pa.RecordBatch, features: list[str], label: str | None) -> None:
        self._batch = batch
        self.features = features
        self.label = label

    @property
    def columns(self) -> list[str]:
        """The names of all columns."""
        return list(self._batch.schema.names)

    def __len__(self) -> int:
        return self._batch.num_rows

    def arrow(self, columns: list[str] | None = None) -> pa.Table:
        """Returns the rows as a table of pyarrow."""
        return pa.Table.from_batches([self._chosen(columns)])

    def pandas(self, columns: list[str] | None = None) -> Any:
        """Returns the rows as a DataFrame of pandas."""
        return self._shown("pandas", columns)

    def polars(self, columns: list[str] | None = None) -> Any:
        """Returns the rows as a DataFrame of polars."""
        return self._shown("polars", columns)

    def numpy(self, columns: list[str] | None = None) -> dict[str, Any]:
        """Returns the rows as a dict of NumPy arrays."""
        return self._shown("numpy", columns)

    def _shown(self, form: str, columns: list[str] | None) -> Any:
        chosen = self._chosen(columns)
        return FORMATS[form](chosen.schema, True).show(chosen)[0]

    def _chosen(self, columns: list[str] | None) -> pa.RecordBatch:
        if columns is None:
            return self._batch
        for column in columns:
            if column not in self._batch.schema.names:
                known = ", ".join(f"`{name}`" for name in self._batch.schema.names)
                raise KeyError(f"the training rows have no column `{column}`; they have {known}")
        return self._batch.select(columns)


class TrainingRun:
    """What training is told, and what it wants to be remembered with the version."""

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self.metrics: dict[str, float] = {}
        self.params: dict[str, str] = {}

    def log_metric(self, name: str, value: float) -> None:
        """Notes how good the model is in one respect; a gate may ask for it by this name."""
        try:
            self.metrics[_name(name, "metric")] = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"the metric `{name}` is a number, not {value!r:.80}") from None

    def log_metrics(self, values: dict[str, float]) -> None:
        """Notes several metrics."""
        for name, value in values.items():
            self.log_metric(name, value)

    def log_param(self, name: str, value: Any) -> None:
        """Notes what the model was trained with."""
        self.params[_name(name, "parameter")] = value if isinstance(value, str) else str(value)

    def log_params(self, values: dict[str, Any]) -> None:
        """Notes several parameters."""
        for name, value in values.items():
            self.log_param(name, value)


def _name(name: Any, what: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise TypeError(f"the name of a {what} is a text, not {name!r:.80}")
    return name


class Training(Program):
    """A function that trains a model: the user's, or one of ours."""

    isolate = False

    def __init__(
        self, init: dict[str, Any], function: Callable[..., Any] | None, inputs: pa.Schema, outputs: pa.Schema
    ) -> None:
        self.function = function
        self.settings = init["training"]
        self.file = init.get("file")
        self.name = init.get("object")
        self.roots = roots(init)
        self.outputs = outputs

    def run(self, batch: pa.RecordBatch, whole: bool) -> Outcome:
        _context.close_batch("it has no meaning while a model is trained")
        try:
            parts = list(self._parts(batch))
            columns = [pa.array([part.get(field.name) for part in parts], field.type) for field in self.outputs]
        except ModelError as err:
            raise self._named(err) from None
        except BaseException as err:
            raise self.fail(err) from None
        finally:
            _context.close_batch()
        return Outcome(columns, [FRESH] * len(columns), len(parts))

    def _named(self, err: ModelError) -> Exception:
        """Returns a failure without a stack of the user's: it names the function."""
        failed = self.fail(err)
        if self.file is not None and failed.failure["file"] is None:
            failed.failure.update(file=self.file, function=self.name, line=self.settings.get("line"))
        return failed

    def _parts(self, batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
        if self.function is None:
            # Only trees need NumPy and their library.
            from windlass import _trees

            yield from _trees.train(batch, self.settings)
            return
        # They ask for NumPy, which a worker that is to answer for its absence does not have.
        from windlass._export import export, sampled

        features, label = self.settings["features"], self.settings.get("label")
        if label is not None:
            self.settings["label_classes"] = _distinct(batch.column(label))
        data = TrainingData(batch, features, label)
        run = TrainingRun(self.settings.get("seed"))
        if run.seed is not None:
            _seed(run.seed)
        model = self.function(data, run)
        if model is None:
            raise ModelError(f"`{self.name}` returned None: return the model that it has fitted")
        exported = export(model, self.settings)
        yield {"kind": "file", "name": exported.name, "text": exported.format, "data": exported.data}
        yield {"kind": "task", "name": exported.task}
        yield {"kind": "estimator", "name": exported.estimator}
        if exported.classes is not None:
            yield {"kind": "classes", "text": json.dumps(exported.classes)}
        for name, value in run.metrics.items():
            yield {"kind": "metric", "name": name, "number": value}
        for name, value in run.params.items():
            yield {"kind": "param", "name": name, "text": value}
        found = sampled(exported, batch.select(features))
        if found is not None:
            yield {"kind": "answers", "text": json.dumps(found[0]), "data": found[1]}


def _distinct(labels: pa.Array) -> list[Any] | None:
    """Returns the values of the label in order; `None` for numbers that are no classes."""
    if pa.types.is_floating(labels.type) or pa.types.is_decimal(labels.type):
        return None
    return sorted(value for value in labels.unique().to_pylist() if value is not None)


def _seed(seed: int) -> None:
    """Makes what is drawn without a generator of its own the same every time."""
    import random

    random.seed(seed)
    try:
        import numpy
    except ImportError:
        return
    numpy.random.seed(seed % 2**32)
