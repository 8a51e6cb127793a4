"""What two texts share in words: content words, compared by their first letters and by their dictionary forms; pure."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from core.search.terms import words
from core.search.word_forms import lemma

DEFAULT_LANGUAGE = "english"

_STOP_WORDS = frozenset(
    """
    a an and are as at be been but by can could did do does for from had has have he her him his how i if in into is it
    its me more my no not of on or our she so some such than that the their them there these they this those to was we
    were what when where which while who whom whose why will with would you your about after according also any because
    before may much many must shall should source sources text document
    aber als am an auf aus bei bis da damit das dass dem den der des die dies doch durch ein eine einem einen einer es
    für hat ihr ihre im ist ja kann man mit muss nach nicht noch nur ob oder sein sich sie sind so um und uns vom von
    vor wann war was wenn wer werden wie wird wo wozu zu zum zur über
    à au aux avec ce ces cet cette comment dans de du elle en est et être il ils je la le les leur lui mais ne nous on
    ou où par pas pour qu quand que quel quelle quels qui sa sans se ses son sont sous sur un une vous combien
    al algo como con cual cuál cuando cuándo cuánto cuántos cuánta cuántas del desde donde dónde el ella entre era es
    esta este fue ha hay las lo los más muy o para pero por qué quién se ser si sin sobre su sus te tiene también una
    uno y ya
    ai alla anche che chi ci come cosa da dal dalla dei del della delle di dove e era gli i il io l lo ma mi nel nella
    non per più quale quando quanto quanta quanti quante questa questo si sono su sul sulla tra un'
    ao aos as com como dos das em esta foi isso mais mas na nas no nos num não os ou pela pelo quais qual quanto que
    quem seu sua são tem um uma
    aan al bij dat de deze die dit een en er haar heeft hem het hij hoe hoeveel ik is maar met naar niet nog of ook om
    onder op over te tot uit van veel voor waar wanneer was wat we wel werd wie wordt zich zij zijn zo
    а без был была были было быть в вам вас все всё вы где да для до его ее её если есть же за и из или их к как какая
    какие какой каком какова когда кто ли мне мы на нас не него нее нет но о об он она они оно от по под при с со
    сколько так также там то только у уже что чтобы это я
    """.split()  # noqa: SIM905 - prose reads better than hundreds of quoted words
)
_STEM_CHARS = 5


def content_words(text: str) -> list[str]:
    """Return the words of a text that carry meaning, numbers included."""
    return [word for word in words(text) if word not in _STOP_WORDS]


@functools.lru_cache(100_000)
def word_keys(word: str, language: str = DEFAULT_LANGUAGE) -> frozenset[str]:
    """Return what two forms of a word share: their first letters, or those of their dictionary form.

    A number stands for itself alone.

    Args:
        word: Lower-case.
        language: Name of a text search configuration.
    """
    if word.isdigit():
        return frozenset((word,))
    return frozenset((word[:_STEM_CHARS], lemma(word, language)[:_STEM_CHARS]))


def text_keys(texts: Iterable[str], language: str = DEFAULT_LANGUAGE) -> set[str]:
    """Return the keys of all words of some texts."""
    return {key for text in texts for word in words(text) for key in word_keys(word, language)}


def lexical_support(sentence: str, evidence: str, language: str = DEFAULT_LANGUAGE) -> float:
    """Return the share (0 to 1) of the sentence's content words that the evidence holds, in whatever form."""
    wanted = content_words(sentence)
    if not wanted:
        return 0.0
    held = text_keys((evidence,), language)
    return sum(not held.isdisjoint(word_keys(word, language)) for word in wanted) / len(wanted)
