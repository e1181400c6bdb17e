import pytest

from agent_runtime.providers.local.automaton import Machine
from agent_runtime.providers.local.grammar import Grammar, build, spoken
from agent_runtime.stt import STTContext, ToolHint

ADD = ToolHint("add_item", "Add an item to the shopping list.", {"item": ()})
READ = ToolHint("read_list", "Read the shopping list.", {})
LIGHT = ToolHint("turn_on_light", "Switch the light of a room on.", {"room": ("kitchen", "garage")})
TIMER = ToolHint("set_timer", 'Start a timer. Callers also say "wake me up".', {"minutes": ()})


def everything(word: str) -> bool:
    return True


def made(*tools: ToolHint, keyterms: tuple[str, ...] = ()) -> Grammar:
    return build(STTContext(keyterms=keyterms, tools=tools), everything)


def machine(*tools: ToolHint, keyterms: tuple[str, ...] = ()) -> Machine:
    return made(*tools, keyterms=keyterms).machine()


def test_the_built_in_intents_are_there() -> None:
    plain = machine()
    for text in ("what time is it", "could you please say that again", "what is two plus two please", "goodbye"):
        assert plain.accepts(text), text


def test_key_terms_fill_the_slots_of_tools() -> None:
    shopping = machine(ADD, keyterms=("Milk", "orange juice", "eggs"))
    for text in (
        "add milk",
        "please add some orange juice to my shopping list",
        "could you add milk and eggs to the list please",
        "milk",
    ):
        assert shopping.accepts(text), text
    for text in ("add", "add milk milk", "add bread", "milk eggs", "milk add"):
        assert not shopping.accepts(text), text


def test_no_word_repeats_without_end() -> None:
    arcs = machine(ADD, READ, LIGHT, TIMER, keyterms=("milk", "eggs")).arcs
    after: dict[int, set[int]] = {}
    for source, target, _ in arcs:
        after.setdefault(source, set()).add(target)

    def no_loop(state: int, path: tuple[int, ...], done: set[int]) -> bool:
        if state in path:
            return False
        if state not in done:
            done.add(state)
            return all(no_loop(target, (*path, state), done) for target in after.get(state, ()))
        return True

    assert no_loop(0, (), set())


def test_a_tool_without_arguments_is_called_by_its_name_and_its_description() -> None:
    reading = machine(READ)
    assert reading.accepts("read my list")
    assert reading.accepts("read the shopping list please")


def test_documented_values_make_phrases_of_their_own() -> None:
    lights = machine(LIGHT)
    for text in (
        "turn on the light in the kitchen",
        "turn on the kitchen lights",
        "turn the garage light on",
        "kitchen",
    ):
        assert lights.accepts(text), text
    assert not lights.accepts("turn on the bathroom light")


def test_numbers_and_quoted_examples() -> None:
    timer = machine(TIMER)
    assert timer.accepts("set timer for twenty five minutes") or timer.accepts("set the timer for twenty five minutes")
    assert timer.accepts("please wake me up")


def test_a_long_key_term_is_a_phrase_and_no_value() -> None:
    listing = machine(ADD, keyterms=("milk", "What is on my list?"))
    assert listing.accepts("what is on my list")
    assert not listing.accepts("add what is on my list")


def test_what_the_dictionary_lacks_is_left_out_and_said() -> None:
    context = STTContext(keyterms=("milk", "zwieback"), tools=[ADD, ToolHint("frobnicate", "Do it.", {})])
    grammar = build(context, lambda word: word not in {"zwieback", "frobnicate"})
    assert grammar.machine().accepts("add milk")
    assert not grammar.machine().accepts("add zwieback")
    assert grammar.skipped == (
        "'zwieback': 'zwieback' is not in the dictionary",
        "the tool 'frobnicate': 'frobnicate' is not in the dictionary",
    )


def test_a_tool_whose_argument_nobody_can_say_is_left_out_and_said() -> None:
    grammar = made(ADD)
    assert not grammar.machine().accepts("add")
    (skipped,) = grammar.skipped
    assert "add_item" in skipped
    assert "item" in skipped


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Turn on 2 lights!", "turn on two lights"), ("What’s up?", "what's up"), ("250 g", "250 g"), ("", "")],
)
def test_text_as_it_is_said(text: str, expected: str) -> None:
    assert spoken(text) == expected


def test_it_can_be_written_as_jsgf() -> None:
    text = made(ADD, keyterms=("milk",)).jsgf
    assert text.startswith("#JSGF V1.0;")
    assert "public <phrase> = " in text
    assert "<term> = ([a | some | the | my] milk);" in text
