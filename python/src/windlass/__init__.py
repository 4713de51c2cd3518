"""Windlass for authors: decorators for transforms, functions, checks and models, and what their code may ask for.

No dependencies. A decorator only attaches what it was given as `__windlass__` and hands the object
back, so that a decorated class stays a plain class that a test can construct. Windlass reads the
arguments from the source text and never imports a file to plan: they have to be literals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from windlass import _context
from windlass._failure import RejectError

__all__ = ["Ref", "RejectError", "Source", "check", "model", "ref", "reject", "source", "transform", "udf", "var"]

_T = TypeVar("_T")
BatchFormat = Literal["numpy", "pandas", "polars", "pyarrow"]
_NOT_GIVEN: Any = _context._Missing()


class Ref:
    """Names a table of the project."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"ref({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.name == self.name

    def __hash__(self) -> int:
        return hash(("ref", self.name))


class Source:
    """Names a table that comes from outside."""

    __slots__ = ("name", "table")

    def __init__(self, name: str, table: str) -> None:
        self.name = name
        self.table = table

    def __repr__(self) -> str:
        return f"source({self.name!r}, {self.table!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and (other.name, other.table) == (self.name, self.table)

    def __hash__(self) -> int:
        return hash(("source", self.name, self.table))


def ref(name: str) -> Ref:
    """Returns a reference to the table that the node `name` makes."""
    return Ref(name)


def source(name: str, table: str) -> Source:
    """Returns a reference to `table` of the source `name`."""
    return Source(name, table)


def var(name: str, default: Any = _context.MISSING) -> Any:
    """Returns the value of a variable of the project.

    It has one while Windlass runs the project and inside of `windlass.testing.run`; elsewhere this
    returns `default`, or raises `LookupError` where none is given.
    """
    return _context.get_var(name, default)


def reject(mask: Any, reason: str | Sequence[str]) -> None:
    """Marks the rows of the current batch where `mask` is true as error rows.

    `mask` holds one True or False per row of the batch: a NumPy array, a Series, an Arrow array or a
    list; NULL means no. `reason` is one text, or one per row; the first reason that a row is given
    stays. Return all rows, in which case the rejected ones are dropped, or exactly the others.
    """
    _context.add_rejects(mask, reason)


def transform(
    *,
    input: Ref | Source | None = None,
    inputs: Mapping[str, Ref | Source] | None = None,
    columns: Mapping[str, str] | None = None,
    mode: Literal["batch", "table"] = _NOT_GIVEN,
    max_bytes: int | str = _NOT_GIVEN,
    key: Sequence[str] = _NOT_GIVEN,
    input_columns: Sequence[str] = _NOT_GIVEN,
    requires: Mapping[str, Any] = _NOT_GIVEN,
    batch_size: int | Literal["auto"] = _NOT_GIVEN,
    batch_format: BatchFormat = _NOT_GIVEN,
    rows: Literal["one_to_one", "many"] = _NOT_GIVEN,
    rowwise: bool = _NOT_GIVEN,
    concurrency: int | tuple[int, int] = _NOT_GIVEN,
    num_cpus: float = _NOT_GIVEN,
    num_gpus: float = _NOT_GIVEN,
    memory: int | str = _NOT_GIVEN,
    timeout: float | str = _NOT_GIVEN,
    start_timeout: float | str = _NOT_GIVEN,
    start: str = _NOT_GIVEN,
    on_error: str = _NOT_GIVEN,
    max_error_rate: float | str = _NOT_GIVEN,
    max_errors: int = _NOT_GIVEN,
    fn_constructor_args: Sequence[Any] = _NOT_GIVEN,
    fn_constructor_kwargs: Mapping[str, Any] = _NOT_GIVEN,
    fn_args: Sequence[Any] = _NOT_GIVEN,
    fn_kwargs: Mapping[str, Any] = _NOT_GIVEN,
    zero_copy_batch: bool = _NOT_GIVEN,
    deterministic: bool = _NOT_GIVEN,
    retries: int = _NOT_GIVEN,
    tags: Sequence[str] = _NOT_GIVEN,
    owner: str = _NOT_GIVEN,
    description: str = _NOT_GIVEN,
    partition_by: Sequence[str] = _NOT_GIVEN,
    sort_by: Sequence[str] = _NOT_GIVEN,
    materialized: Literal["table", "incremental"] = _NOT_GIVEN,
    strategy: Literal["by_interval", "merge", "append"] = _NOT_GIVEN,
    time_column: str = _NOT_GIVEN,
    interval: Literal["hour", "day", "month", "year"] = _NOT_GIVEN,
    end: str = _NOT_GIVEN,
    lookback: int = _NOT_GIVEN,
    batch_intervals: int = _NOT_GIVEN,
    on_definition_change: Literal["rebuild", "forward"] = _NOT_GIVEN,
) -> Callable[[_T], _T]:
    """Makes a function or a class the transform of its file.

    A function gets one batch after the other. A class is constructed once per worker and then
    called with batches, as in Ray Data's `map_batches`; it may keep a model between calls.
    """
    return _attach("transform", locals())


def udf(
    *,
    returns: str,
    args: Sequence[str] | Mapping[str, str] = _NOT_GIVEN,
    deterministic: bool = _NOT_GIVEN,
    nulls: Literal["skip", "pass"] = _NOT_GIVEN,
    on_error: Literal["fail", "null"] = _NOT_GIVEN,
    batch_format: BatchFormat = _NOT_GIVEN,
    concurrency: int | tuple[int, int] = _NOT_GIVEN,
    num_cpus: float = _NOT_GIVEN,
    num_gpus: float = _NOT_GIVEN,
    memory: int | str = _NOT_GIVEN,
    timeout: float | str = _NOT_GIVEN,
    start_timeout: float | str = _NOT_GIVEN,
    start: Literal["fork", "spawn"] = _NOT_GIVEN,
) -> Callable[[_T], _T]:
    """Makes a function callable from SQL by its name.

    It gets one array per argument, in its `batch_format`, and returns an array of the same length
    or one value for all rows.
    """
    return _attach("udf", locals())


def check(
    input: Ref | Source | None = None,
    *,
    columns: str | Sequence[str] = _NOT_GIVEN,
    name: str = _NOT_GIVEN,
    severity: Literal["error", "warn"] = _NOT_GIVEN,
    on_fail: Literal["error", "warn"] = _NOT_GIVEN,
    error_if: str = _NOT_GIVEN,
    warn_if: str = _NOT_GIVEN,
    max_rate: float | str = _NOT_GIVEN,
    max_rows: int = _NOT_GIVEN,
    where: str = _NOT_GIVEN,
    limit: int = _NOT_GIVEN,
    sample_rows: int = _NOT_GIVEN,
    store_failures: bool = _NOT_GIVEN,
    batch_format: BatchFormat = _NOT_GIVEN,
    batch_size: int | Literal["auto"] = _NOT_GIVEN,
    concurrency: int | tuple[int, int] = _NOT_GIVEN,
    num_cpus: float = _NOT_GIVEN,
    num_gpus: float = _NOT_GIVEN,
    memory: int | str = _NOT_GIVEN,
    timeout: float | str = _NOT_GIVEN,
    start_timeout: float | str = _NOT_GIVEN,
    start: Literal["fork", "spawn"] = _NOT_GIVEN,
    fn_constructor_args: Sequence[Any] = _NOT_GIVEN,
    fn_constructor_kwargs: Mapping[str, Any] = _NOT_GIVEN,
    fn_args: Sequence[Any] = _NOT_GIVEN,
    fn_kwargs: Mapping[str, Any] = _NOT_GIVEN,
    zero_copy_batch: bool = _NOT_GIVEN,
    deterministic: bool = _NOT_GIVEN,
    owner: str = _NOT_GIVEN,
    description: str = _NOT_GIVEN,
) -> Callable[[_T], _T]:
    """Makes a function or a class a check of the table `input`.

    It gets one batch of the table after the other and returns one True or False per row: whether the
    row is good. `reject` marks rows that are not, with the reason.
    """
    return _attach("check", locals())


def model(
    input: Ref | Source | None = None,
    *,
    label: str,
    features: Sequence[str] = _NOT_GIVEN,
    columns: Sequence[str] = _NOT_GIVEN,
    where: str = _NOT_GIVEN,
    order_by: str | Sequence[str] = _NOT_GIVEN,
    seed: int = _NOT_GIVEN,
    gates: Mapping[str, str] = _NOT_GIVEN,
    task: Literal["classification", "regression"] = _NOT_GIVEN,
    keep: Literal["native", "pickle"] = _NOT_GIVEN,
    max_bytes: int | str = _NOT_GIVEN,
    num_cpus: float = _NOT_GIVEN,
    num_gpus: float = _NOT_GIVEN,
    memory: int | str = _NOT_GIVEN,
    timeout: float | str = _NOT_GIVEN,
    start_timeout: float | str = _NOT_GIVEN,
    start: Literal["fork", "spawn"] = _NOT_GIVEN,
    deterministic: bool = _NOT_GIVEN,
    retries: int = _NOT_GIVEN,
    tags: Sequence[str] = _NOT_GIVEN,
    owner: str = _NOT_GIVEN,
    description: str = _NOT_GIVEN,
    on_upstream_failure: str = _NOT_GIVEN,
) -> Callable[[_T], _T]:
    """Makes a function `train(data, run)` what trains the model of its file.

    It gets all rows of `input` at once, and returns a fitted estimator of scikit-learn, LightGBM or
    XGBoost, or the bytes of an ONNX model. With `keep="pickle"` it returns whatever has a `predict`, which workers
    score with. What it logs with `run` stays with the version.
    """
    return _attach("model", locals())


def _attach(kind: str, given: dict[str, Any]) -> Callable[[_T], _T]:
    settings = {name: value for name, value in given.items() if value is not _NOT_GIVEN and value is not None}

    def decorate(target: _T) -> _T:
        if not callable(target):
            raise TypeError(f"@{kind} stands above a function or a class, not {type(target).__name__}")
        target.__windlass__ = {"kind": kind, **settings}  # type: ignore[attr-defined]
        return target

    return decorate
