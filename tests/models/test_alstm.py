"""The recurrent network with attention against its definition, cell by cell."""

import pytest
import torch
from learnable import planted, rank_ic
from torch.testing import assert_close

from alphaloom.models.base import FitContext, Shape, models
from alphaloom.training.fit import fit_model

CELLS = {"gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def random_module(**settings):
    """Return a module in float64 with 5 features, 4 steps, H = 6."""
    torch.manual_seed(0)
    return models.parse({"name": "alstm", "steps": 4, "hidden": 6, **settings}).build(Shape.of(5)).double().eval()


def by_hand(module, x, cell, layers):
    """Return one stock's score and the weights of its steps, from `x [L, F]`, one recurrent cell at a time."""
    state = module.state_dict()
    sequence = [torch.tanh(state["inward.0.weight"] @ step + state["inward.0.bias"]) for step in x]
    for layer in range(layers):
        unit = CELLS[cell](6, 6).double()
        unit.load_state_dict({name: state[f"recurrent.{name}_l{layer}"] for name in WEIGHTS})
        memory, states = None, []
        for step in sequence:
            memory = unit(step, memory)
            states.append(memory[0] if cell == "lstm" else memory)
        sequence = states
    energy = torch.stack(
        [
            (state["attention.3.weight"] @ torch.tanh(state["attention.0.weight"] @ h + state["attention.0.bias"]))[0]
            for h in sequence
        ]
    )
    weights = energy.exp() / energy.exp().sum()
    context = sum(weight * h for weight, h in zip(weights, sequence, strict=True))
    score = state["head.weight"] @ torch.cat([sequence[-1], context]) + state["head.bias"]
    return score[0], weights


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_scores_follow_the_definition(cell, layers):
    """Scores and step weights equal the definition, in a batch with padding and an empty day."""
    module = random_module(cell=cell, layers=layers)
    x, mask = torch.randn(3, 6, 4, 5, dtype=torch.float64), torch.rand(3, 6) < 0.7
    mask[2] = False
    with torch.no_grad():
        scores, weights = module(x, mask), module.step_weights(x, mask)
        assert torch.isfinite(scores).all()
        for b, n in mask.nonzero().tolist():
            score, weight = by_hand(module, x[b, n], cell, layers)
            assert_close(scores[b, n], score, rtol=0, atol=1e-9)
            assert_close(weights[b, n], weight, rtol=0, atol=1e-9)


def test_the_cell_is_what_was_asked_for():
    """The setting `cell` decides the kind of recurrence: an LSTM has four gates where a GRU has three."""
    assert random_module().state_dict()["recurrent.weight_ih_l0"].shape == (18, 6)
    assert random_module(cell="lstm").state_dict()["recurrent.weight_ih_l0"].shape == (24, 6)


def test_learns_from_an_earlier_step():
    """A label driven by a feature two rows ago is learned: the window is read, in the right order."""
    market = planted("sequential", seed=2)
    model = models.parse({"name": "alstm", "steps": 3, "optimisation": {"lr": 5e-3, "epochs": 8}})
    fitted = fit_model(model, market.train, market.valid, context=FitContext(0, 1, tuple("abcdef")))
    assert rank_ic(fitted.predict(market.test), market.test) > 0.5 * market.ceiling
