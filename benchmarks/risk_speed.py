"""Cross-sectional regressions and a whole risk model, against skfolio's regression and plain numpy.

The regression is the same in all: country, 30 industries whose cap-weighted returns sum to zero, 10 styles, weights of
the square root of capitalisation. skfolio and numpy give coefficients alone; ours also residuals of all stocks, robust
errors, R2 and variance inflation.
"""

import argparse
import statistics

import numpy as np
from skfolio.linear_model import CSLinearRegression
from skfolio.prior._model._family_constraint_basis import compute_family_constraint_basis

from alphaloom.risk.covariance import CovarianceSettings, factor_covariance
from alphaloom.risk.regression import Cells, RegressionSettings, cross_sections
from alphaloom.risk.specific import SpecificSettings, specific_risk
from benchmarks.alpha158 import cpu
from benchmarks.record import save

P, Q = 30, 10


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stocks", type=int, default=4300)
    parser.add_argument("--dates", type=int, default=500)
    parser.add_argument("--peer-dates", type=int, default=50, help="dates of the peers, whose time is scaled to all")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(arguments)
    T, N, D = args.dates + 1, args.stocks, args.peer_dates
    rng = np.random.default_rng(0)
    styles = rng.normal(size=(T, N, Q)).astype(np.float32)
    industry = np.repeat(rng.integers(0, P, N)[None], T, axis=0)
    cap = np.exp(rng.normal(0, 1, (T, N)))
    returns = rng.normal(0, 0.02, (T, N))
    cells = Cells(styles, industry, cap, np.ones((T, N), dtype=np.bool_))
    names = tuple(f"i{k}" for k in range(P)), tuple(f"s{k}" for k in range(Q))
    settings = RegressionSettings(least_in_industry=1)
    found = cross_sections(returns[:3], cells.rows(0, 3), *names, settings)

    def ours() -> None:
        nonlocal found
        found = cross_sections(returns, cells, *names, settings)

    dummies = np.eye(P)[industry[:D]]
    X = np.concatenate([np.ones((D, N, 1)), dummies, styles[:D].astype(np.float64)], axis=2)
    families = np.array(["market", *["industry"] * P, *["style"] * Q])
    theirs = np.empty((D, 1 + P + Q))
    plain = np.empty((D, 1 + P + Q))

    def skfolio() -> None:
        labels = np.array(["country", *names[0], *names[1]])
        basis, _ = compute_family_constraint_basis([("industry", None)], X, cap[:D], labels, families)
        fit = CSLinearRegression().fit(basis.reduce_exposures(X), returns[1 : D + 1], cs_weights=np.sqrt(cap[:D]))
        theirs[:] = basis.expand_factor_returns(fit.coef_)

    def numpy() -> None:
        for d in range(D):
            share = cap[d] @ dummies[d]
            R = np.eye(1 + P + Q)
            R[P, 1 : 1 + P] = -share / share[-1]
            R = np.delete(R, P, axis=1)
            root = np.sqrt(np.sqrt(cap[d]))[:, None]
            plain[d] = R @ np.linalg.lstsq((X[d] @ R) * root, returns[d + 1] * root[:, 0], rcond=None)[0]

    times: dict[str, list[float]] = {"alphaloom": [], "skfolio CSLinearRegression": [], "numpy lstsq": []}
    for _ in range(args.repeats):
        times["alphaloom"].append(cpu(ours) / args.dates)
        times["skfolio CSLinearRegression"].append(cpu(skfolio) / D)
        times["numpy lstsq"].append(cpu(numpy) / D)
    middle = {name: statistics.median(values) for name, values in times.items()}
    own = middle["alphaloom"]
    rows = [
        {"program": name, "ms a date": 1e3 * seconds, "times slower": seconds / own} for name, seconds in middle.items()
    ]
    few = found.returns[1 : D + 1]
    specific_risk(found.specific[:3], cells.rows(0, 3), P, SpecificSettings())
    parts = {
        "specific risk": cpu(lambda: specific_risk(found.specific, cells, P, SpecificSettings())),
        "covariance": cpu(lambda: factor_covariance(found.returns, CovarianceSettings(), noise=found.noise)),
    }
    facts = {
        "ratio": middle["skfolio CSLinearRegression"] / own,
        "difference_skfolio": float(np.abs(few - theirs).max()),
        "difference_numpy": float(np.abs(few - plain).max()),
        **{f"{name} ms a date": 1e3 * seconds / args.dates for name, seconds in parts.items()},
    }
    what = f"{N:,} stocks, {1 + P + Q} factors, {args.dates} dates (peers {D}), one core; medians of {args.repeats} "
    what += "runs in turn. skfolio solves normal equations, numpy the singular value decomposition."
    same = f"Factor returns differ from skfolio's by at most {facts['difference_skfolio']:.0e}, from numpy's by "
    same += f"{facts['difference_numpy']:.0e}."
    rest = ", ".join(f"{name} {1e3 * seconds / args.dates:.1f}" for name, seconds in parts.items())
    more = f"The rest of the model, ms a date: {rest} (the covariance includes its eigenfactor simulations)."
    save("risk_speed", "Risk model: CPU time of one core", rows, facts, [what, same, more])
    return 0
