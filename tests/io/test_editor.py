"""A line being typed."""

from agent_runtime.io.editor import LineEditor


def typed(*keys: str) -> LineEditor:
    editor = LineEditor()
    for key in keys:
        editor.press(key)
    return editor


def test_a_line_is_done_with_enter() -> None:
    editor = typed(*"milk")
    assert editor.press("enter") == "milk"
    assert (editor.text, editor.place) == ("", 0)


def test_editing_in_the_middle() -> None:
    editor = typed(*"mik", "left", "l", "home", "x", "end", "!", "left", "backspace")
    assert (editor.text, editor.place) == ("xmil!", 4)
    editor.press("delete")
    assert editor.text == "xmil"


def test_words_and_halves_are_deleted() -> None:
    assert typed(*"one two  ", "ctrl-w").text == "one "
    assert typed(*"one two", "left", "ctrl-u").text == "o"
    assert typed(*"one two", "home", "right", "ctrl-k").text == "o"


def test_the_edges_hold() -> None:
    editor = typed("backspace", "delete", "left", "right", "ctrl-w", "up", "down", "a", "right", "delete", "ctrl-z")
    assert (editor.text, editor.place) == ("a", 1)


def test_lines_come_back() -> None:
    editor = typed(*"one", "enter", *"two", "enter", *"two", "enter", " ", "enter", "up")
    assert editor.text == "two"
    editor.press("up")
    editor.press("up")
    assert editor.text == "one"
    for _ in range(3):
        editor.press("down")
    assert editor.text == ""
