"""Adam and AdamW over the weights of one module, with plain tensors as their state."""

import torch
from torch.optim.adam import adam

BETAS, EPSILON = (0.9, 0.999), 1e-8
State = dict[str, torch.Tensor]


class AdamW:
    """Adam with decoupled weight decay, or with `decoupled` false plain Adam; one fused kernel updates all weights.

    Calls torch's functional form: the optimiser class would first import torch's compiler, which takes seconds.

    Source: Loshchilov and Hutter 2019; Kingma and Ba 2015. Equal to `torch.optim.AdamW(fused=True)` and `Adam`.
    """

    def __init__(self, module: torch.nn.Module, weight_decay: float, *, decoupled: bool = True) -> None:
        self.weights = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.weight_decay, self.decoupled = weight_decay, decoupled
        self._first = {name: torch.zeros_like(p) for name, p in self.weights.items()}
        self._second = {name: torch.zeros_like(p) for name, p in self.weights.items()}
        self._steps = {name: torch.zeros((), device=p.device) for name, p in self.weights.items()}

    def clear(self) -> None:
        """Forget the gradients."""
        for weight in self.weights.values():
            weight.grad = None

    def gradients(self) -> State:
        """Return the gradients there are, by the name of their weight."""
        return {name: weight.grad for name, weight in self.weights.items() if weight.grad is not None}

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Take one step against the gradients."""
        gradients = self.gradients()
        adam(
            [self.weights[name] for name in gradients],
            list(gradients.values()),
            [self._first[name] for name in gradients],
            [self._second[name] for name in gradients],
            [],
            [self._steps[name] for name in gradients],
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=lr,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
            decoupled_weight_decay=self.decoupled,
        )

    def state(self) -> dict[str, State]:
        """Return both moments and the step counts; the tensors are shared."""
        return {"first": self._first, "second": self._second, "steps": self._steps}

    @torch.no_grad()
    def restore(self, state: dict[str, State]) -> None:
        """Take over what `state` gave."""
        for kind, mine in self.state().items():
            for name, tensor in mine.items():
                tensor.copy_(state[kind][name])
