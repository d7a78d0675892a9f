"""Sequence: decoded strings are equal.

The output is ``[T, C]`` (ignoring axes of one, so ``[1, T, C]`` and ``[T, 1, C]`` too): scores of C symbols at T steps.
One symbol, ``[output] blank`` (0; -1 for the last), stands for none. Decoding is greedy: it takes the largest score at
each step, merges repeats and drops blanks (Graves et al. 2006, "Connectionist Temporal Classification", best path).
Labels are strings; they can check an output where ``[output] alphabet`` gives the C - 1 characters, in order.

The kept share of a symbol is the share of its places in float's string that belong to a longest common subsequence of
both strings.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.class_recall import Kept
from edge_agent.quant.common_subsequence import aligned
from edge_agent.quant.kinds.kind import Kind
from edge_agent.quant.reading_margin import reading_margin
from edge_agent.wire.manifest import Output


class Symbols(Kind):
    """Scores of symbols, step by step."""

    ANY_SHAPE = True

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:
        """``output`` unchanged; outputs, blank and alphabet must fit together."""
        for one in sample:
            symbols = _steps(one).shape[1]
            if not -symbols <= output.blank < symbols:
                raise ContractError("shape_mismatch", f"blank = {output.blank}, but there are {symbols} symbols")
            if output.alphabet and len(output.alphabet) != symbols - 1:
                raise ContractError(
                    "shape_mismatch",
                    f"the alphabet has {len(output.alphabet)} characters; {symbols} symbols and a blank among them "
                    f"need {symbols - 1}",
                )
        return output

    def answer(self, output: NDArray[Any]) -> NDArray[Any]:
        """The numbers of the decoded symbols."""
        steps = _steps(output)
        best = np.argmax(steps, axis=1)
        new = np.append([True], best[1:] != best[:-1])
        symbols: NDArray[Any] = best[new & (best != self._blank(output))]
        return symbols

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether both decode to the same string."""
        return np.array_equal(self.answer(reference), self.answer(target))

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """The changed share of the string; if nothing has changed, minus the smallest margin of a deciding score."""
        wanted, got = self.answer(reference), self.answer(target)
        if not np.array_equal(wanted, got):
            return 1.0 - float(aligned(wanted, got).sum()) / max(len(wanted), len(got))
        return -reading_margin(_steps(target), self._blank(target))

    def kept_classes(self, reference: NDArray[Any], target: NDArray[Any], label: Any = None) -> Kept:
        """The share that int8 also reads of each symbol that float reads, correctly if there is a label."""
        wanted = self.answer(reference)
        kept = aligned(wanted, self.answer(target))
        right = np.ones(len(wanted), bool)
        if label is not None and self.output.alphabet:
            truth = list(self._text(label))
            right = aligned(wanted, np.array([self._number(letter, reference) for letter in truth], wanted.dtype))
        return {
            self._name(number, reference): (1.0, float(kept[right & (wanted == number)].mean()))
            for number in np.unique(wanted[right]).tolist()
        }

    def correct(self, output: NDArray[Any], label: Any) -> bool | None:
        """Whether the string equals the label; None without an alphabet."""
        if not self.output.alphabet:
            return None
        text = self._text(label)
        if not np.isfinite(output).all():
            return False
        return "".join(str(self._name(number, output)) for number in self.answer(output).tolist()) == text

    def _text(self, label: Any) -> str:
        """The label as a string; raises ``ContractError`` (shape_mismatch) if it is not one."""
        text = label.decode() if isinstance(label, bytes) else label
        if not isinstance(text, str):
            raise ContractError("shape_mismatch", f"label {label!r} is no string; give strings")
        if lacking := sorted(set(text) - set(self.output.alphabet)):
            letters = ", ".join(map(repr, lacking))
            what = f"label {text!r} holds what [output] alphabet lacks, {letters}; add it there, or correct the label"
            raise ContractError("shape_mismatch", what)
        return text

    def _name(self, number: int, output: NDArray[Any]) -> str | int:
        """A symbol's character, or its number without an alphabet."""
        alphabet = self.output.alphabet
        return alphabet[number - (number > self._blank(output))] if alphabet else number

    def _number(self, letter: str, output: NDArray[Any]) -> int:
        place = self.output.alphabet.index(letter)
        return place + (place >= self._blank(output))

    def _blank(self, output: NDArray[Any]) -> int:
        return self.output.blank % int(_steps(output).shape[1])


def _steps(output: NDArray[Any]) -> NDArray[Any]:
    symbols = output.shape[-1] if output.ndim else 0
    if symbols < 2 or sum(size != 1 for size in output.shape[:-1]) > 1 or not output.size:  # noqa: PLR2004  # blank and a symbol
        raise ContractError(
            "shape_mismatch",
            f"an output of shape {output.shape} holds no scores of symbols [T, C]; set another output kind",
        )
    return output.reshape(-1, symbols)
