"""What kind of answer a question asks for - a person, a time, a place, a number - and whether a text holds one."""

from __future__ import annotations

import enum
import re

from core.search.terms import words


class AnswerType(enum.StrEnum):
    """Kinds of answers that leave a mark in a text."""

    PERSON = "person"
    TIME = "time"
    PLACE = "place"
    NUMBER = "number"
    MONEY = "money"
    MEASURE = "measure"


_BEGINNINGS: dict[AnswerType, str] = {
    AnswerType.MONEY: r"""
        (how\ much|what)\ (is|are|was|were|do|does|did)\ .*\b(costs?|price|fee|salary|fare|charge|pay|ticket)\b
        | what\ (do|does|did)\ .*\b(costs?|charge|pay)\b|(what|which)\ (price|fee|salary|cost)
        | (wie\ ?viel|was)\ kostete?n?|wie\ teuer|combien\ coûte|cuánto\ (cuesta|vale|paga)|quanto\ (costa|custa)
        | hoeveel\ kostt?e?|сколько\ стоит
    """,
    AnswerType.MEASURE: r"""
        how\ (tall|high|deep|far|heavy|fast|wide)|how\ long\ (is|was)\ the
        | what\ is\ the\ (length|height|width|depth|weight|speed)
        | wie\ (hoch|tief|breit|schwer|weit|schnell)|quelle\ (hauteur|longueur)|que\ altura|hoe\ (hoog|diep|breed|zwaar)
        | qué\ (altura|longitud)|какова\ (длина|высота|скорость)
    """,
    AnswerType.NUMBER: r"""
        how\ (many|much|long|old|tall|high|deep|far|fast|hot|warm|cold|big|large|wide|often|heavy)
        | (what|which)\ (\w+\ ){0,2}(number|price|cost|percentage|share|size|length|height|width|weight|speed|version
          |temperature|diameter|extension|telephone|fax|amount|salary)\b
        | wie\ ?viele?|wie\ (lang|hoch|alt|tief|groß|breit|schwer|weit|schnell)|was\ kostet
        | combien|quel(le)?\ (numéro|prix|hauteur|longueur|durée|taille|puissance|température)
        | cuánt[oa]s?|cuanto|qué\ (número|altura|precio|longitud|edad)
        | quant[oaie]\b|quale\ numero|que\ (altura|número|preço)
        | hoeveel|hoe\ (lang|hoog|diep|oud|groot|breed|zwaar)
        | сколько|какой\ номер|какова\ (длина|высота|цена|скорость)
    """,
    AnswerType.TIME: r"""
        when\b|(in|since|until|on|from|by)\ (which|what)\ (year|month|day|date|week|winter|summer|time)
        | (what|which)\ (year|month|day|date|time)\b|until\ when|since\ when
        | wann\b|(bis|seit|ab)\ wann|in\ welche[mr]\ (jahr|monat)|an\ welchem\ tag
        | quand\b|en\ quelle\ année|à\ quelle\ (heure|date)|quel\ jour
        | cuándo|qué\ (día|año|fecha)|a\ qué\ hora|en\ qué\ (año|mes)|de\ qué\ año
        | quando\b|in\ che\ anno|a\ che\ ora|em\ que\ (ano|dia)|a\ que\ horas
        | wanneer|in\ welk\ jaar|когда|в\ каком\ году
    """,
    AnswerType.PERSON: r"""
        who\b|whose\b|whom\b|wer\b|wem\b|wen\b|wessen\b|qui\b|quién(es)?\b|chi\b|quem\b
        | wie\ (is|was|heeft|bedacht|maakte)\b
        | кто\b|кем\b|кого\b|(by|to|from|with)\ whom
    """,
    AnswerType.PLACE: r"""
        where\b|in\ (which|what)\ (city|town|country|room|place|street|building)|wo\b|wohin\b|woher\b|où\b|d'où\b
        | dónde|dove\b|onde\b|waar\b|где\b|куда\b|откуда\b
    """,
}
_TYPES = {
    kind: re.compile(rf"(?:^|[\s¿,])(?:{pattern})", re.IGNORECASE | re.VERBOSE) for kind, pattern in _BEGINNINGS.items()
}

_NUMBER_WORDS = frozenset(
    """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million half dozen once twice
    eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreißig vierzig fünfzig hundert tausend
    einmal zweimal halb un une deux trois quatre cinq sept huit neuf dix onze douze quinze vingt trente quarante
    cinquante soixante cent mille millions uno dos tres cuatro cinco seis siete ocho nueve diez doce veinte treinta cien
    mil due tre quattro cinque sei sette otto nove dieci dodici diciotto venti trenta quaranta cento mezzo mezza
    dois duas três quatro oito nove dez vinte trinta een twee drie vijf zes zeven acht negen tien twintig honderd
    один одна два две три четыре пять шесть семь восемь девять десять двадцать тридцать сорок пятьдесят сто тысяча
    """.split()  # noqa: SIM905 - prose reads better than a hundred quoted words
)
_TIME_WORDS = frozenset(
    """
    january february march april may june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday noon midnight morning afternoon evening night yearly monthly weekly daily hourly
    spring summer autumn winter minutes hours days weeks months years century
    januar februar märz mai juni juli oktober dezember montag dienstag mittwoch donnerstag freitag samstag sonntag
    mittag
    janvier février mars avril juin juillet août septembre octobre novembre décembre lundi mardi mercredi jeudi vendredi
    samedi dimanche midi enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre lunes
    martes miércoles jueves viernes sábado domingo gennaio febbraio aprile maggio giugno luglio settembre
    ottobre dicembre
    lunedì martedì mercoledì giovedì venerdì sabato domenica janeiro fevereiro março maio junho julho setembro outubro
    dezembro maandag dinsdag woensdag donderdag vrijdag zaterdag zondag minuti ore giorni
    """.split()  # noqa: SIM905
)
_PLACE_WORDS = frozenset(
    """
    in at on under behind beside near above below inside outside between from to into
    im am an auf unter hinter neben bei zwischen aus nach zum zur dans à sur sous derrière chez entre en bajo detrás
    nel nella sul sulla sotto dietro no na sob op achter naast bij uit naar в на под за у из к
    """.split()  # noqa: SIM905
)
_MONEY = re.compile(
    r"[€$£¥]|\b(?:euros?|eur|usd|gbp|chf|dollars?|pounds?|pence|cents?|francs?|franken|lire|pesos?|free|gratis"
    r"|kostenlos|gratuite?s?|price|cost|fee|salary|preis|prix|precio|prezzo|preço|рубл\w*)\b",
    re.IGNORECASE,
)
_MEASURE = re.compile(
    r"\d\s?(?:m|km|cm|mm|ft|in|kg|g|t|kmh|mph|%|°)\b|(?:^|[\W_])(?:m|km|cm|mm|kg|kmh|mph)(?=[\W_]|$)"
    r"|\b(?:met(?:re|er)s?|feet|foot|inch(?:es)?|miles?|yards?|kilo\w+|grams?|tonn?es?|tons?|knots|degrees|high|tall"
    r"|deep|wide|long|length|height|width|depth|minutes?|hours?|days?|weeks?|months?|years?|mètres?|metros?|metri"
    r"|lang|hoch|tief|breit|метр\w*|километр\w*)\b",
    re.IGNORECASE,
)
_AGENT = re.compile(r"\b(?:by|von|par|por|da|dal|door)\s+(?:[A-Z]|[^\W\d_a-zà-ÿ])[\w’'-]+", re.UNICODE)
_COUNTED = re.compile(
    r"\b(?:how many|how much|wie ?viele?|combien d[e']|cuánt[oa]s?|quant[oaie]s?|hoeveel|сколько)\s*(\w+)",
    re.IGNORECASE,
)
_NOT_COUNTED = frozenset(
    """
    is are was were do does did can could may of to it he she they times kostet kostete kostte custa costa cuesta vale
    paga tempo tiempo temps стоит
    """.split()  # noqa: SIM905
)
_ACRONYM_CHARS = 4
_DIGITS = re.compile(r"\d")
_CLOCK_OR_YEAR = re.compile(
    r"\b(?:1\d{3}|20\d{2})\b|\b\d{1,2}[:.]\d{2}\b|\b\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b|\b\d{1,2}-\d{1,2}\b"
)
_NAME = re.compile(r"\b[^\W\d_a-zà-ÿа-я][\w’'-]+")


def answer_type(question: str) -> AnswerType | None:
    """Return what a question asks for, by its question word; None where that leaves no mark in a text."""
    found = [(match.start(), kind) for kind, pattern in _TYPES.items() if (match := pattern.search(question))]
    # Of two that begin at the same word the one that says more stands first in the table.
    return min(found, key=lambda one: one[0])[1] if found else None


def counted_word(question: str) -> str | None:
    """Return what "how many" counts, lower-cased; None where nothing is named."""
    found = _COUNTED.search(question)
    return None if found is None or found.group(1).lower() in _NOT_COUNTED else found.group(1).lower()


def holds_agent(text: str) -> bool:
    """Whether a text says by whom something is: "by" and a name."""
    return _AGENT.search(text) is not None


def holds(kind: AnswerType, text: str, *, question: str, context: str = "") -> bool:
    """Whether a text holds an answer of this kind that does not stand in the question already.

    Args:
        kind: Of the answer.
        text: The span itself.
        question: As asked.
        context: Headings and column names, which may name a unit.
    """
    asked = set(words(question))
    news = [word for word in words(text) if word not in asked]
    has_number = any(_DIGITS.search(word) or word in _NUMBER_WORDS for word in news)
    match kind:
        case AnswerType.NUMBER:
            return has_number
        case AnswerType.MONEY:
            return _MONEY.search(f"{text} {context}") is not None
        case AnswerType.MEASURE:
            return has_number and _MEASURE.search(f"{text} {context}") is not None
        case AnswerType.TIME:
            return any(_is_time_word(word) for word in news) or any(
                match.group().lower() not in question.lower() for match in _CLOCK_OR_YEAR.finditer(text)
            )
        case AnswerType.PERSON:
            return _holds_name(text, asked)
        case AnswerType.PLACE:
            return any(word in _PLACE_WORDS for word in words(text)) or _holds_name(text, asked)


def _holds_name(text: str, asked: set[str]) -> bool:
    names = [
        match
        for match in _NAME.finditer(text)
        if match.group().lower() not in asked and not _is_time_word(match.group().lower()) and not _is_shouted(match)
    ]
    # A capital at the start of a sentence tells nothing, unless another name follows at once.
    return any(match.start() > 0 and not text[: match.start()].rstrip().endswith((".", "!", "?")) for match in names)


def _is_time_word(word: str) -> bool:
    return word in _TIME_WORDS or word.removesuffix("s") in _TIME_WORDS


def _is_shouted(match: re.Match[str]) -> bool:
    # A word in capitals between others in capitals is a heading, not a name.
    return len(match.group()) > _ACRONYM_CHARS and match.group().isupper()


_PICTURE_WORD = re.compile(
    r"\b(?:pictures?|photos?|photographs?|images?|frames?|drawings?|charts?|diagrams?|screenshots?|figures?|paintings?"
    r"|bild(?:er)?|fotos?|aufnahme|zeichnung|diagramm|imagen|imágenes|dessin|graphique|immagine|disegno|afbeelding"
    r"|imagem|фото|фотография|картинка|рисунок)\b",
    re.IGNORECASE,
)
_DESCRIPTION_WORDS = 8


def asks_for_picture(question: str) -> bool:
    """Whether a question names a picture, or is no question at all but a short description of what is to be seen."""
    if _PICTURE_WORD.search(question):
        return True
    is_question = question.rstrip().endswith("?") or answer_type(question) is not None
    return not is_question and len(words(question)) <= _DESCRIPTION_WORDS
