"""Makes fitted estimators of scikit-learn ONNX, by skl2onnx of the model's own environment.

Numbers stay doubles up to the estimator. Trees of scikit-learn round what they are given to 32 bits and compare it
with doubles, so their graph gets numbers of 32 bits, and thresholds that part these in the same way.
"""

from __future__ import annotations

from typing import Any

from windlass._failure import ModelError, text_of

# What ONNX Runtime of the engine knows.
_OPSETS = {"": 15, "ai.onnx.ml": 3}
_TREES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
_PIN = "skl2onnx==1.20.0"


def convert(model: Any, features: list[str], kinds: list[str], unknown: str) -> bytes:
    """Returns a fitted estimator as ONNX; `unknown` is the step for which the engine has no words of its own."""
    try:
        import skl2onnx  # noqa: F401
    except ImportError:
        raise ModelError(
            f'{unknown} is scored as ONNX, and its environment has no skl2onnx: add "{_PIN}" to its dependencies, or have '
            'workers score it with `keep="pickle"`'
        ) from None
    try:
        graph = _convert(model, features, kinds)
    except Exception as err:
        lines = text_of(err).strip().splitlines() or [type(err).__name__]
        raise ModelError(
            f"skl2onnx cannot convert {unknown} ({lines[0][:300]}): take another estimator, or have "
            'workers score it with `keep="pickle"`'
        ) from None
    if any(node.op_type == "Imputer" for node in graph.graph.node):
        raise ModelError(
            f"ONNX Runtime has no SimpleImputer of doubles, which stands before {unknown}: leave it out where the "
            "estimator takes missing values, or fill them in SQL"
        )
    return graph.SerializeToString(deterministic=True)


def _convert(model: Any, features: list[str], kinds: list[str]) -> Any:
    from skl2onnx.common import tree_ensemble
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    # Its own search has no end for the infinite threshold of a split that tells missing values from others.
    tree_ensemble.sklearn_threshold = _threshold
    steps = [step for _, step in getattr(model, "steps", [("", model)])]
    steps = [step for step in steps if step is not None and not isinstance(step, str)]
    grows = hasattr(steps[-1], "tree_") or any(hasattr(tree, "tree_") for tree in _trees(steps[-1]))
    number = FloatTensorType if grows and len(steps) == 1 else DoubleTensorType
    if "text" in kinds or any(_picks_columns(step) for step in steps):
        types = {"text": StringTensorType, "number": number}
        inputs = [(name, types[kind]([None, 1])) for name, kind in zip(features, kinds, strict=True)]
    else:
        inputs = [("features", number([None, len(features)]))]
    if not grows:
        return _graph(model, inputs)
    if len(steps) == 1:
        return _with_missing(_graph(steps[0], inputs), steps[0])
    width = int(steps[-1].n_features_in_)
    grown = _with_missing(_graph(steps[-1], [("encoded", FloatTensorType([None, width]))]), steps[-1])
    return _joined(_graph(model[:-1], inputs), grown)


def _graph(model: Any, inputs: list[tuple[str, Any]]) -> Any:
    import skl2onnx

    options = {"zipmap": False} if hasattr(model, "predict_proba") else None
    return skl2onnx.to_onnx(model, initial_types=inputs, options=options, target_opset=_OPSETS)


def _joined(first: Any, second: Any) -> Any:
    """Returns both graphs one after the other, with numbers rounded to 32 bits between them."""
    import onnx
    from onnx import compose

    first, second = compose.add_prefix(first, "before_", rename_inputs=False), compose.add_prefix(second, "trees_")
    made, wanted = first.graph.output[0], second.graph.input[0].name
    rounded = onnx.helper.make_node("Cast", [made.name], ["rounded"], to=onnx.TensorProto.FLOAT)
    first.graph.node.append(rounded)
    made.name = "rounded"
    made.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    first.ir_version = second.ir_version = min(first.ir_version, second.ir_version)
    del second.opset_import[:]
    second.opset_import.extend(first.opset_import)
    if not any(known.domain == "ai.onnx.ml" for known in first.opset_import):
        for graph in (first, second):
            graph.opset_import.extend([onnx.helper.make_opsetid("ai.onnx.ml", 1)])
    return compose.merge_models(first, second, io_map=[("rounded", wanted)])


def _with_missing(graph: Any, model: Any) -> Any:
    """Adds to each split where missing values go, which skl2onnx leaves out."""
    flags = [flag for tree in _trees(model) for flag in tree.tree_.missing_go_to_left.tolist()]
    for node in graph.graph.node:
        for attribute in node.attribute:
            is_told = attribute.name == "nodes_missing_value_tracks_true"
            if node.op_type in _TREES and is_told and len(attribute.ints) == len(flags):
                attribute.ints[:] = [int(flag) for flag in flags]
    return graph


def _trees(model: Any) -> list[Any]:
    """Returns the trees of an ensemble of scikit-learn, or the tree itself."""
    if hasattr(model, "tree_"):
        return [model]
    found = getattr(model, "estimators_", None)
    if found is None:
        return []
    flat = found.ravel().tolist() if hasattr(found, "ravel") else list(found)
    return [tree for tree in flat if hasattr(tree, "tree_")]


def _threshold(threshold: float, _dtype: Any, _mode: str) -> Any:
    """Returns the highest number of 32 bits that is not above a threshold: no other goes left of it."""
    import numpy as np

    rounded = np.float32(threshold)
    return np.float64(np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > threshold else rounded)


def _picks_columns(step: Any) -> bool:
    if hasattr(step, "steps"):
        return any(_picks_columns(inner) for _, inner in step.steps)
    return type(step).__name__ == "ColumnTransformer"
