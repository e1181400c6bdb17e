"""Numbers, letters and e-mail addresses in the making: a caller pauses inside them, and a pause there ends nothing.

Read from the end of the turn backward. How many digits are to come is known where somebody has said what is dictated
("your phone number", "a six digit code"); where it is not, the answer is undecided rather than a guess.
"""

from agent_runtime.turns.lexicon import Lexicon, Words

_BEGUN = 0.05
"""Certainly not at its end."""
_UNDECIDED = 0.45
"""A number of unknown length that is long enough to be whole."""
_LETTERS = 0.3
"""Letters that spell no word which was said, or three digits: nobody but the caller knows how many follow."""
_STREET = 0.25
"""A house number whose street is to come."""
_WHOLE = 0.95

_CUE_REACH = 8
"""How many words back a cue ("my number is") still says what a run of digits is."""
_PHONE = 10
_LOCAL_PHONE = 7
_RUN = 3
"""So many digits one by one are being dictated, whatever was said before."""


def likelihood_whole(words: Words, asked: Words, lexicon: Lexicon) -> float | None:
    """How likely what is being dictated at the end of `words` is whole; None where nothing is.

    Args:
        words: the turn so far.
        asked: what the agent said before it.
        lexicon: of the caller's language.
    """
    for rule in (_e_mail, _as_in, _house_number, _digits, _letters):
        found = rule(words, asked, lexicon)
        if found is not None:
            return found
    return None


# Digits


def _digits(words: Words, asked: Words, lexicon: Lexicon) -> float | None:
    count, pieces, start = _run(words, lexicon)
    if not count:
        return None
    if (
        start
        and len(words[start - 1]) == 1
        and words[start - 1].isalpha()
        and (words[start - 1],) not in lexicon.articles
    ):
        return _LETTERS if count < _RUN else _UNDECIDED  # a licence plate
    length = _expected(words[max(0, start - _CUE_REACH) : start], asked, lexicon)
    if length is None and pieces < _RUN:
        return None  # a plain number: "a table for four"
    if length:
        if count >= length:
            return _WHOLE
        return _UNDECIDED if (length, count) == (_PHONE, _LOCAL_PHONE) else _BEGUN
    if count >= _PHONE:
        return _WHOLE
    if count < _RUN:
        return _BEGUN
    return _UNDECIDED if count > _RUN and length is not None else _LETTERS


def _run(words: Words, lexicon: Lexicon) -> tuple[int, int, int]:
    """The digits that `words` end with: how many, in how many pieces said one by one, and where they begin."""
    count = pieces = 0
    start = len(words)
    while start:
        word = words[start - 1]
        if word.isdecimal():
            count, pieces = count + len(word), pieces + (1 if len(word) < 3 else _RUN)
        elif word in lexicon.digits:
            count, pieces = count + 1, pieces + 1
        elif (word,) in lexicon.pairs:
            # "twenty three" is two digits; the three has been counted.
            count += 1 if start < len(words) and words[start] in lexicon.digits else 2
        elif (word,) in lexicon.times and count:
            count, pieces = count + 1, pieces + 1
        else:
            break
        start -= 1
    return count, pieces, start


def _expected(before: Words, asked: Words, lexicon: Lexicon) -> int | None:
    """How many digits are dictated by what was said: 0 for a number of unknown length, None for no dictation."""
    for said in (before, asked):
        for at, word in enumerate(said):
            if (word,) in lexicon.digit_word and at and (told := _numeral(said[at - 1], lexicon)):
                return told
        lengths = [int(length) for length, names in lexicon.dictated.items() if names.within(said)]
        if lengths:
            return next((length for length in sorted(lengths) if length), 0)
    return None


def _numeral(word: str, lexicon: Lexicon) -> int:
    digit = lexicon.digits.get(word, word)
    return int(digit) if digit.isdecimal() and len(digit) <= 2 else 0


def _house_number(words: Words, asked: Words, lexicon: Lexicon) -> float | None:
    """ "My address is fourteen", "my address is fourteen Elm": which street?"""
    for named in (0, 1):
        said = words[: len(words) - named]
        count, _, start = _run(said, lexicon)
        if not count or words[len(said) :] in lexicon.streets:
            continue
        before = words[:start]
        told = lexicon.places.at_end(before) or (start < 3 and lexicon.places.within(asked))
        if told and _expected(before[-_CUE_REACH:], asked, lexicon) is None and not lexicon.e_mail.within(asked):
            return _UNDECIDED if named else _STREET
    return None


# Letters


def _letters(words: Words, _asked: Words, lexicon: Lexicon) -> float | None:
    start = len(words)
    spelled = ""
    while start:
        if n := lexicon.letters.at_end(words[:start]):
            spelled, start = words[start - 1][-1] + spelled, start - n
        elif len(words[start - 1]) == 1 and words[start - 1].isalpha():
            spelled, start = words[start - 1] + spelled, start - 1
        else:
            break
    announced = lexicon.spelling.at_end(words[:start]) > 0
    if len(spelled) == 2 and (spelled[0],) in lexicon.articles and not announced:
        return None  # "with a k"
    real = sum((letter,) not in lexicon.articles and (letter,) not in lexicon.only_subjects for letter in spelled)
    if not spelled or (not announced and (len(spelled) < 2 or not real)):
        return None
    if spelled in words[:start]:
        return _WHOLE
    if announced and len(spelled) < 2:
        return _BEGUN
    return _BEGUN if any(word.startswith(spelled) for word in words[:start]) else _LETTERS


def _as_in(words: Words, _asked: Words, lexicon: Lexicon) -> float | None:
    """ "B as in Bravo": one letter of a word."""
    n = lexicon.as_in.at_end(words[:-1])
    letter = words[: len(words) - 1 - n][-1:]
    said = n and letter and len(letter[0]) == 1 and letter[0].isalpha() and words[-1].startswith(letter[0])
    return _LETTERS if said else None


# E-mail addresses


def _e_mail(words: Words, asked: Words, lexicon: Lexicon) -> float | None:
    said = _address(words, lexicon)
    if said is None:
        if not lexicon.e_mail.within(asked) or not _can_be_address(words, lexicon):
            return None
        said = words
    at = next((place for place in range(len(said) - 1, -1, -1) if (said[place],) in lexicon.at), None)
    if at is None:
        return _BEGUN if said else None
    domain = said[at + 1 :]
    if not domain:
        return _BEGUN
    if (said[-1],) in lexicon.middle_domains and len(domain) > 1:
        return _UNDECIDED
    return _WHOLE if (said[-1],) in lexicon.top_domains and len(domain) > 1 else _BEGUN


def _address(words: Words, lexicon: Lexicon) -> Words | None:
    """The address that the caller is saying, as far as it is said."""
    for start in range(len(words)):
        if n := lexicon.e_mail_is.at_start(words[start:]):
            rest = words[start + n :]
            whole = any((word,) in lexicon.at for word in rest) or len(rest) < 6
            return rest if whole else None
    for place, word in enumerate(words[:-1]):
        rest = words[place + 1 :]
        if (word,) in lexicon.at and place and len(rest) < 6 and _is_domain(rest, lexicon):
            return words[place - 1 :]
    return None


def _is_domain(words: Words, lexicon: Lexicon) -> bool:
    return lexicon.hosts.at_start(words) > 0 or any((word,) in lexicon.dot for word in words[1:3])


def _can_be_address(words: Words, lexicon: Lexicon) -> bool:
    """Whether these words, after a question for the address, are a part of one rather than an answer of another kind."""
    if lexicon.yes_no.at_start(words) or lexicon.questions.at_start(words):
        return False
    if any((word,) in lexicon.at for word in words):
        return True
    return len(words) <= 4 and not any((word,) in lexicon.subjects or (word,) in lexicon.auxiliaries for word in words)
