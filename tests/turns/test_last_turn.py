"""Whose words a reading is, rule by rule. Times are seconds."""

import pytest

from agent_runtime.turns.last_turn import AGAIN_WITHIN_S, LastTurn
from agent_runtime.turns.signals import Heard

OVER_AT = 10.0


def after(final: str = "", debt: str = "", *, owes: bool = False, voiced: bool = True) -> LastTurn:
    """A turn was over at `OVER_AT`."""
    last = LastTurn()
    if voiced:
        last.voice_began()
    last.over(OVER_AT, final, debt, owes=owes)
    return last


def final(last: LastTurn, text: str, *, at: float = 11.0, reading: str = "", voice_on: bool = False) -> bool:
    return last.claims(Heard(at, text, is_final=True), reading, voice_on=voice_on)


def interim(last: LastTurn, text: str, *, at: float = 11.0, reading: str = "", voice_on: bool = False) -> bool:
    return last.claims(Heard(at, text, is_final=False), reading, voice_on=voice_on)


def test_before_any_turn_is_over_nothing_is_its_own() -> None:
    assert not final(LastTurn(), "hello")
    assert not interim(LastTurn(), "hello")
    assert not LastTurn().voice_since
    assert not LastTurn().is_rest(Heard(1.0, "hello", is_final=True))


@pytest.mark.parametrize("owes", [True, False])
def test_no_words_are_nobodys(owes: bool) -> None:
    last = after("hello", "the", owes=owes)
    assert not final(last, "")
    assert not final(last, " ... ")
    assert final(last, "the end"), "and pay for nothing"


# What is owed


@pytest.mark.parametrize("text", ["Hello there.", "hello there you", "hel", "hello"])
@pytest.mark.parametrize("voiced", [True, False])
def test_what_begins_as_the_debt_is_its_own(text: str, voiced: bool) -> None:
    assert final(after(debt="hello there", voiced=voiced), text)
    assert interim(after(debt="hello there", voiced=voiced), text)
    assert final(after(debt="hello there", voiced=voiced), text, at=99.0), "at any time"


def test_interims_do_not_pay() -> None:
    last = after(debt="hel")
    assert interim(last, "hello th")
    assert interim(last, "hello there")
    assert final(last, "hello there you")


@pytest.mark.parametrize("voiced", [True, False])
def test_what_is_paid_is_owed_no_more(voiced: bool) -> None:
    last = after(debt="hello", voiced=voiced)
    assert final(last, "hello there")
    assert final(last, "hello there", at=11.5), "said twice"
    assert not final(last, "how are you", at=12.0)
    assert not final(last, "and you", at=12.5)


def test_a_lone_final_pays_whatever_it_says_where_the_voice_was_told_of() -> None:
    last = after(debt="I want to")
    assert final(last, "a one two")
    assert not final(last, "three four", at=12.0)
    assert not final(after(debt="I want to", voiced=False), "a one two")


def test_not_so_one_that_words_led_up_to() -> None:
    last = after(debt="I want to")
    assert not interim(last, "wait")
    assert not final(last, "later perhaps"), "be they dropped meanwhile"
    assert not final(last, "wait please", reading="wait")
    assert final(last, "I want to go", reading="wait", at=12.0), "it is owed still"


def test_a_debt_may_be_paid_in_two_parts() -> None:
    last = after(debt="I would like a pizza")
    assert final(last, "I would like")
    assert final(last, "a pizza with olives")
    assert not final(last, "and a coke")


def test_voice_that_was_not_read_at_all_is_new_when_it_is_read() -> None:
    """Its words are in no turn yet."""
    last = after("one", owes=True)
    assert not final(last, "two")
    last = after("one", owes=True)
    assert not interim(last, "two")
    assert not final(last, "two three", reading="two")
    assert final(after("one", owes=True), "one two", at=99.0), "but what completes the turn does not start a second one"


def test_after_that_nothing_is_owed() -> None:
    last = after("one", owes=True)
    assert not final(last, "two")
    assert not final(last, "one two", at=99.0)


# What is said again


@pytest.mark.parametrize(("at", "again"), [(11.0, True), (OVER_AT + AGAIN_WITHIN_S, True), (13.1, False)])
def test_soon_after_its_end_what_repeats_or_completes_it_is_its_own(at: float, again: bool) -> None:
    for text in ("Hello there, you.", "hello"):
        assert final(after("hello there"), text, at=at) == again
        assert interim(after("hello there"), text, at=at) == again
    assert interim(after("hello there"), "hello there", at=at) == again


def test_the_very_final_is_told_twice_at_any_time_where_voices_are_told() -> None:
    assert final(after("hello there"), "Hello there", at=99.0)
    assert not final(after("hello there", voiced=False), "Hello there", at=99.0)
    assert final(after("hello there", voiced=False), "Hello there", at=13.0)


def test_a_word_is_completed_by_words_and_not_by_letters() -> None:
    assert not final(after("no"), "now I wonder")
    assert final(after("no"), "no I wonder")


def test_without_a_voice_who_begins_as_before_may_say_more() -> None:
    last = after("I would like", voiced=False)
    assert interim(last, "I would"), "so far it may be the same once more"
    assert interim(last, "I would like")
    assert not interim(last, "I would like a pizza")
    assert not final(last, "I would like a pizza", reading="I would like a pizza")
    assert not final(last, "I would like tea")


def test_a_final_that_came_late_may_come_again_a_little_later() -> None:
    last = after(debt="hello", voiced=False)
    assert final(last, "hello there", at=20.0)
    assert final(last, "hello there", at=21.0)
    assert not final(last, "hello there", at=24.1)


def test_nothing_is_said_again_where_nothing_was_final() -> None:
    last = after(owes=True)
    assert not final(last, "hello")
    last = after()
    assert not interim(last, "hello")


# With a voice since


def since(final: str = "", debt: str = "", *, owes: bool = False) -> LastTurn:
    last = after(final, debt, owes=owes)
    last.voice_began()
    return last


def test_what_comes_after_a_new_voice_is_of_that_voice() -> None:
    assert not final(since("one", owes=True), "two")
    assert not final(since("one"), "one")
    assert not interim(since("one"), "one", voice_on=True)
    assert not interim(since(debt="one"), "one two")
    assert not final(since(debt="one"), "five six")


def test_but_a_final_that_is_owed_is_not() -> None:
    last = since(debt="hello")
    assert final(last, "hello there", voice_on=True)
    assert not final(last, "hello you", voice_on=True), "once"


def test_nor_is_one_that_comes_again_before_that_voice_is_over() -> None:
    assert final(since("hello"), "Hello.", voice_on=True)
    assert not final(since("hello"), "hello you", voice_on=True)
    last = since(debt="hello")
    assert final(last, "hello there", voice_on=True)
    assert final(last, "hello there", voice_on=True), "the late one too"


@pytest.mark.parametrize("last", [since("hello"), since(debt="hello"), after(debt="hello"), after("hello")])
def test_what_goes_on_with_what_is_being_said_now_is_of_the_open_turn(last: LastTurn) -> None:
    assert not final(last, "hello there", reading="hello", voice_on=True)
    assert not interim(last, "hello there", reading="hello", voice_on=True)


# Turns that go on, are thrown away, or had no words


def test_a_turn_that_goes_on_keeps_its_voice() -> None:
    last = after("one")
    last.goes_on()
    last.over(20.0, "two", "", owes=False)
    assert final(last, "two", at=99.0)
    last.over(30.0, "three", "", owes=False)
    assert not final(last, "three", at=99.0), "the next one has none of it"


def test_a_turn_that_goes_on_owes_what_it_owed() -> None:
    last = after(debt="I would like")
    last.goes_on()
    last.voice_began()
    last.over(20.0, "I would like", "", owes=False)
    assert final(last, "I would")
    assert final(last, "like a pizza", at=99.0)
    last.goes_on()
    last.over(20.0, "a pizza", "", owes=False)
    assert not final(last, "like that", at=99.0), "it was paid"
    last = after(debt="I would like")
    last.goes_on()
    last.voice_began()
    last.over(20.0, "I would like", "", owes=False)
    assert not final(last, "something else"), "which may never come"
    assert final(last, "I would like a pizza")


def test_what_is_owed_for_a_voice_that_was_thrown_away_is_nobodys() -> None:
    last = after("one")
    last.voice_began()
    last.thrown_away("", voiced=True)
    assert not last.voice_since
    assert interim(last, "any")
    assert final(last, "anything")
    assert not final(last, "something else")


def test_what_was_thrown_away_is_not_owed_by_the_turn_that_goes_on() -> None:
    last = after("one")
    last.thrown_away("", voiced=True)
    last.goes_on()
    last.over(20.0, "two", "", owes=False)
    assert not final(last, "something else", at=99.0)


def test_without_a_voice_only_what_began_so_is() -> None:
    last = after("one", voiced=False)
    last.thrown_away("what", voiced=False)
    assert not final(last, "something else")
    assert final(last, "what is that")


def test_after_a_voice_of_which_nothing_was_read_words_are_new() -> None:
    last = since(debt="hello there")
    last.went_unread()
    assert not last.voice_since
    assert not final(last, "good morning"), "a lone final too"
    assert final(last, "hello there you"), "but for those that are owed still"


def test_the_rest_of_its_voice() -> None:
    last = after("one")
    part = Heard(11.0, "two", is_final=True)
    assert last.is_rest(part)
    assert not last.is_rest(Heard(11.0, "two", is_final=False))
    assert not after("one", voiced=False).is_rest(part)
    assert not since("one").is_rest(part)
    assert interim(last, "on")
    assert last.is_rest(part), "what is its own leads up to nothing new"
    assert not final(last, "four")
    assert last.is_rest(part), "nor does another part"
    assert not interim(last, "tw")
    assert not last.is_rest(part)
    last.over(20.0, "two", "", owes=False)
    last.goes_on()
    last.over(20.0, "two", "", owes=False)
    assert not last.is_rest(part), "no voice was told of"
