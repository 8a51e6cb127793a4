"""Texts made fit for a tokenizer, and sorted into batches in which little is padding; loads no library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inference.errors import EmptyInput


def text_clean(text: str, index: int) -> str:
    """Return a text without what no tokenizer takes.

    Raises:
        EmptyInput: Nothing is left; ``index`` names it among its batch.
    """
    # A lone surrogate cannot be encoded, and tokenizers refuse the whole batch for it.
    clean = text.encode("utf-8", "replace").decode("utf-8").strip()
    if not clean:
        raise EmptyInput(f"text {index} of the batch is empty: there is nothing to embed")
    return clean


def token_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Yield the indices of texts, shortest first, so that a padded batch has at most ``batch_tokens`` tokens."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Sorted by length, so the newest text is the longest one: every row is padded to it.
        if batch and (len(batch) + 1) * lengths[index] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
