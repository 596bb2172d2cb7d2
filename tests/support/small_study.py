"""A small recipe with trees, and a search for their settings."""

RECIPE = {
    "name": "tiny",
    "features": [{"name": "factors", "groups": ["momentum", "reversal"]}],
    "transforms": ["zscore", {"name": "fill", "by": "constant", "value": 0}],
    "label": {"name": "weekly_return", "price": "open"},
    "label_transforms": ["zscore"],
    "windows": {"train_months": 12, "test_months": 6, "valid_share": 0.25},
    "models": [{"name": "lightgbm", "n_estimators": 8, "min_data_in_leaf": 50, "num_leaves": 8}],
    "evaluation": {"resamples": 100, "min_names": 10},
    "horizons": {"periods": [1]},
}
TUNING = {
    "trials": 4,
    "folds": 3,
    "valid_share": 0.25,
    "scan": {"points": 3, "rounds": 1, "level": 0.9},
    "spaces": {"lightgbm": {"learning_rate": {"low": 0.01, "high": 0.3, "log": True}, "num_leaves": [3, 8, 20]}},
}
