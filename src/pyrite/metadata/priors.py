"""Owns doing what batches depend on before a group of them is applied: bytes first, then the name."""

from collections.abc import Callable, Sequence
from typing import Any

from pyrite.metadata.kv import Batch

Apply = Callable[[list[Batch]], Sequence[BaseException | None]]


def apply_after_priors(batches: list[Batch], apply: Apply) -> list[BaseException | None]:
    """Do the priors of `batches`, each flush once, then `apply` those whose prior succeeded. Blocks.

    One outcome for each batch.
    """
    outcomes: list[BaseException | None] = [None] * len(batches)
    for flush, indices in _by_flush(batches).items():
        for index, outcome in zip(indices, _attempt(flush, [batches[i].prior for i in indices]), strict=True):
            outcomes[index] = outcome
    ready = [index for index, outcome in enumerate(outcomes) if outcome is None]
    for index, outcome in zip(ready, apply([batches[i] for i in ready]) if ready else (), strict=True):
        outcomes[index] = outcome
    return outcomes


def _by_flush(batches: list[Batch]) -> dict[Any, list[int]]:
    shared: dict[Any, list[int]] = {}
    for index, batch in enumerate(batches):
        if batch.prior is not None:
            shared.setdefault(batch.prior.flush, []).append(index)
    return shared


def _attempt(flush: Any, priors: list[Any]) -> Sequence[BaseException | None]:
    try:
        outcomes: Sequence[BaseException | None] = flush([prior.item for prior in priors])
    except Exception as error:  # noqa: BLE001 - it stops these batches and no other
        return [error] * len(priors)
    return outcomes
