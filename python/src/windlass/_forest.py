"""Makes trees of scikit-learn the text of LightGBM, which has the same trees.

Boosting by histograms compares doubles with doubles; other trees round what they are given to 32 bits first, so
their thresholds become the highest doubles that are rounded to what goes left. Missing values go one way at each
split. What all rows start from is a tree of one leaf. So the file answers what the estimator answers.
"""

from __future__ import annotations

from typing import Any

from windlass._failure import ModelError

_HISTOGRAMS = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
_BOOSTING = ("GradientBoostingClassifier", "GradientBoostingRegressor")
_MEANS = ("DecisionTreeRegressor", "ExtraTreeRegressor", "ExtraTreesRegressor", "RandomForestRegressor")
_OBJECTIVES = {
    "IdentityLink": "regression",
    "LogLink": "poisson",
    "LogitLink": "binary sigmoid:1",
    "HalfLogitLink": "binary sigmoid:2",
    "MultinomialLogit": "multiclass num_class:{}",
}
# Bits of a decision: missing values are NaN, and whether they go left.
_NAN, _LEFT = 8, 2


def to_text(model: Any, features: list[str]) -> bytes | None:
    """Returns a fitted estimator as the text of LightGBM; `None` where it is another one."""
    name = type(model).__name__
    if type(model).__module__.partition(".")[0] != "sklearn":
        return None
    if name in _HISTOGRAMS:
        outputs = int(model.n_trees_per_iteration_)
        trees = [[_leaf(float(start)) for start in model._baseline_prediction.ravel()]]
        trees += [[_histogram_tree(predictor.nodes) for predictor in iteration] for iteration in model._predictors]
        return _file(_objective(model, outputs), outputs, features, trees)
    if name in _BOOSTING and (model.init is None or model.init == "zero"):
        import numpy as np

        outputs = int(model.estimators_.shape[1])
        starts = model._raw_predict_init(np.zeros((1, len(features)), np.float32)).ravel()
        trees = [[_leaf(float(start)) for start in starts]]
        trees += [[_tree(tree.tree_, model.learning_rate) for tree in iteration] for iteration in model.estimators_]
        return _file(_objective(model, outputs), outputs, features, trees)
    if name in _MEANS and model.n_outputs_ == 1:
        grown = [model] if hasattr(model, "tree_") else model.estimators_
        return _file("regression", 1, features, [[_tree(tree.tree_, 1.0)] for tree in grown], average=True)
    return None


def _objective(model: Any, outputs: int) -> str:
    objective = _OBJECTIVES.get(type(model._loss.link).__name__)
    if objective is None:
        raise ModelError(f"{type(model).__name__} with `loss={model.loss!r}` cannot be kept: take another loss")
    return objective.format(outputs)


def _file(objective: str, outputs: int, features: list[str], trees: list[list[str]], average: bool = False) -> bytes:
    # Names of columns may have signs that its file has no place for.
    names = " ".join(f"f{at}" for at in range(len(features)))
    header = [
        "tree",
        "version=v4",
        f"num_class={outputs}",
        f"num_tree_per_iteration={outputs}",
        "label_index=0",
        f"max_feature_idx={len(features) - 1}",
        f"objective={objective}",
        *(["average_output"] if average else []),
        f"feature_names={names}",
        f"feature_infos={' '.join(['none'] * len(features))}",
    ]
    parts = ["\n".join(header)]
    parts += [f"Tree={at}\n{tree}" for at, tree in enumerate(tree for iteration in trees for tree in iteration)]
    return ("\n\n".join(parts) + "\n\n\nend of trees\n").encode()


def _leaf(value: float) -> str:
    return _text([], [value])


def _histogram_tree(nodes: Any) -> str:
    if nodes["is_categorical"].any():
        raise ModelError("categories of HistGradientBoosting cannot be kept: encode them before, or take LightGBM")
    splits = {}
    for at, node in enumerate(nodes):
        if not node["is_leaf"]:
            test = (int(node["feature_idx"]), float(node["num_threshold"]), bool(node["missing_go_to_left"]))
            splits[at] = (*test, int(node["left"]), int(node["right"]))
    return _numbered(splits, [float(value) for value in nodes["value"]])


def _tree(tree: Any, weight: float) -> str:
    splits = {}
    for at in range(tree.node_count):
        left, right = int(tree.children_left[at]), int(tree.children_right[at])
        if left >= 0:
            test = (int(tree.feature[at]), _threshold(float(tree.threshold[at])), bool(tree.missing_go_to_left[at]))
            splits[at] = (*test, left, right)
    return _numbered(splits, [float(value) * weight for value in tree.value[:, 0, 0]])


def _threshold(threshold: float) -> float:
    """Returns the highest double that, rounded to 32 bits, is not above a threshold."""
    import numpy as np

    if np.isinf(threshold):
        return threshold
    rounded = np.float32(threshold)
    if float(rounded) > threshold:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    middle = (float(rounded) + float(np.nextafter(rounded, np.float32(np.inf)))) / 2
    return middle if np.float32(middle) == rounded else float(np.nextafter(middle, -np.inf))


def _numbered(splits: dict[int, tuple[int, float, bool, int, int]], values: list[float]) -> str:
    """Returns a tree with its splits and its leaves numbered apart, as LightGBM has them."""
    places: dict[int, int] = {}
    leaves: list[float] = []
    for at, value in enumerate(values):
        if at in splits:
            places[at] = len(places) - len(leaves)
        else:
            places[at] = ~len(leaves)
            leaves.append(value)
    told = []
    for feature, threshold, missing_left, left, right in splits.values():
        told.append((feature, threshold, _NAN | (_LEFT if missing_left else 0), places[left], places[right]))
    return _text(told, leaves)


def _text(splits: list[tuple[int, float, int, int, int]], leaves: list[float]) -> str:
    columns = list(zip(*splits, strict=True)) if splits else [[]] * 5
    words = [" ".join(map(repr, column)) for column in columns]
    feature, threshold, decision, left, right = words
    lines = [
        f"num_leaves={len(leaves)}",
        "num_cat=0",
        f"split_feature={feature}",
        f"threshold={threshold}",
        f"decision_type={decision}",
        f"left_child={left}",
        f"right_child={right}",
        f"leaf_value={' '.join(map(repr, leaves))}",
        "is_linear=0",
        "shrinkage=1",
    ]
    return "\n".join(lines)
