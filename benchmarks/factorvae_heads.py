"""FactorVAE's attention heads over a day's stocks: CPU time of one core, against a loop over K modules.

The peer is the straightforward form: a module a head, with the keys and values of every stock, one head after another.
Both have the same weights and give the same contexts `[K, H]`; gradients go to all weights and to the stocks' states.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn.functional import cosine_similarity

from alphaloom.models.base import models
from alphaloom.models.factorvae import EVEN, Prior
from benchmarks.record import save

H = 64
STOCKS = (300, 4300)
HEADS = (32, 96)
ATTENTIONS = ("cosine", "compat")
WORKS = ("forward and backward", "forward")


class Head(torch.nn.Module):
    """One head as its formula is written."""

    def __init__(self, attention: str) -> None:
        super().__init__()
        self.attention = attention
        self.query = torch.nn.Parameter(torch.randn(H))
        self.key, self.value = torch.nn.Linear(H, H), torch.nn.Linear(H, H)

    def forward(self, e: torch.Tensor) -> torch.Tensor:
        """Return the context `[H]` of the states `[N, H]`."""
        key, value = self.key(e), self.value(e)
        if self.attention == "cosine":
            alike = torch.relu(cosine_similarity(key, self.query[None], dim=1)) + EVEN
            weight = alike / alike.sum()
        else:
            weight = torch.softmax(torch.relu(key @ self.query / H**0.5), dim=0)
        return weight @ value


def same_heads(prior: Prior, heads: torch.nn.ModuleList) -> None:
    """Give our heads the weights of the modules."""
    with torch.no_grad():
        for k, head in enumerate(heads):
            prior.query[k] = head.query
            prior.key[k], prior.key_bias[k] = head.key.weight, head.key.bias
            prior.value[k], prior.value_bias[k] = head.value.weight, head.value.bias


class Case:
    """One day of N stocks and both forms of its K heads."""

    def __init__(self, N: int, K: int, attention: str) -> None:
        torch.manual_seed(0)
        self.heads = torch.nn.ModuleList(Head(attention) for _ in range(K))
        self.prior = Prior(models.parse({"name": "factorvae", "hidden": H, "factors": K, "attention": attention}))
        same_heads(self.prior, self.heads)
        self.e = torch.tanh(0.5 * torch.randn(N, H)).requires_grad_()
        self.mask = torch.ones(1, N, dtype=torch.bool)
        self.slope = torch.randn(K, H)

    def ours(self) -> torch.Tensor:
        """Return the contexts `[K, H]` of our heads."""
        return self.prior.contexts(self.e[None], self.mask)[0]

    def loop(self) -> torch.Tensor:
        """Return the contexts `[K, H]` of the modules, one after another."""
        return torch.stack([head(self.e) for head in self.heads])

    def train(self, contexts: Callable[[], torch.Tensor]) -> None:
        """Compute the contexts and the gradients of a linear function of them."""
        self.prior.zero_grad()
        self.heads.zero_grad()
        self.e.grad = None
        (contexts() * self.slope).sum().backward()

    def difference(self) -> float:
        """Return the largest difference of the contexts and of the gradient by state, each over its largest entry."""
        found = []
        for contexts in (self.loop, self.ours):
            self.train(contexts)
            with torch.no_grad():
                found.append((contexts(), self.e.grad.clone()))
        return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(*found, strict=True))


def seconds(case: Case, repeats: int) -> dict[tuple[str, str], list[float]]:
    """Return the CPU seconds of each form and work, interleaved; a first round is not counted."""
    forms = {"ours": case.ours, "loop": case.loop}
    taken: dict[tuple[str, str], list[float]] = {(form, work): [] for form in forms for work in WORKS}
    for repeat in range(repeats + 1):
        for (form, work), times in taken.items():
            with torch.inference_mode(work == "forward"):
                start = time.process_time()
                forms[form]() if work == "forward" else case.train(forms[form])
                if repeat:
                    times.append(time.process_time() - start)
    return taken


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    table, every, ratios, differences = [], {}, {}, []
    for attention in ATTENTIONS:
        for N in STOCKS:
            for K in HEADS:
                case = Case(N, K, attention)
                differences.append(case.difference())
                taken = seconds(case, args.repeats)
                for work in WORKS:
                    ours, loop = (statistics.median(taken[form, work]) for form in ("ours", "loop"))
                    ratios[attention, N, K, work] = loop / ours
                    row = {"attention": attention, "stocks": N, "heads": K, "work": work}
                    table.append(row | {"ms, ours": 1e3 * ours, "ms, loop": 1e3 * loop, "times faster": loop / ours})
                every |= {f"{attention} {N} {K} {form} {work}": times for (form, work), times in taken.items()}
    least = {N: min(ratio for (_, stocks, *_), ratio in ratios.items() if stocks == N) for N in STOCKS}
    facts = {"hidden": H, "least_ratio": {str(N): r for N, r in least.items()}, "seconds": every}
    facts |= {"difference": max(differences), "os_load": os.getloadavg()[0], "torch": torch.__version__}
    notes = [
        f"Contexts of K heads from states `[N, {H}]` in float32, torch {torch.__version__}; CPU time of one core.",
        f"Median of {args.repeats} runs in turn. The loop makes keys and values of every stock, a head at a time.",
        *(f"Acceptance: at {N:,} stocks {least[N]:.1f} times or more (at least 1.8)." for N in STOCKS),
        f"Largest difference of contexts and gradients from the loop's, over the largest: {max(differences):.1e}.",
    ]
    save("factorvae_heads", "FactorVAE's attention heads: CPU time of one core", table, facts, notes)
    return 0
