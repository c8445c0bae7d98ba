"""Numbers with their nouns."""

from shared.words import are, counted, verb, were


def test_one_is_singular_and_everything_else_is_plural() -> None:
    assert [counted(n, "file") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert counted(2, "copy", "copies") == "2 copies"
    assert (verb(1, "is", "are"), verb(0, "is", "are")) == ("is", "are")
    assert (are(1, "file"), were(2, "file")) == ("1 file is", "2 files were")
