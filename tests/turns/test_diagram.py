"""The page shows the machine that there is."""

from tests.turns import diagram


def test_the_diagram_is_that_of_the_table() -> None:
    page = diagram.PAGE.read_text("utf-8").split(diagram.BEGIN)[1].split(diagram.END)[0]
    assert page.strip() == diagram.drawn().strip(), "the table has changed: run `python -m tests.turns.diagram`"
