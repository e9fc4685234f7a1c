"""The words of a file are those that nginx, OpenResty and templates have."""

import pytest

from pavics_affinity.proxy.nginx.lexing import Problem, has_marks, words_in


def texts(text):
    return [(word.kind, word.text) for word in words_in(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b;", [("word", "a"), ("word", "b"), (";", ";")]),
        ("a{# c\nb 1;}", [("word", "a"), ("{", "{"), ("word", "b"), ("word", "1"), (";", ";"),
                          ("}", "}")]),
        ("a 'x;{' \"\\\"}\";", [("word", "a"), ("quoted", "x;{"), ("quoted", '"}'), (";", ";")]),
        ("a ${b}{", [("word", "a"), ("word", "${b}"), ("{", "{")]),
        ("a \\;b;", [("word", "a"), ("word", "\\;b"), (";", ";")]),
        ("a#b;", [("word", "a#b"), (";", ";")]),
        ("\ufeffa;", [("word", "a"), (";", ";")]),
        ("${A}\n", [("mark", "${A}")]),
        ("  $A # c\r\n${B} ${C}\n", [("mark", "$A"), ("mark", "${B}"), ("mark", "${C}")]),
        ("${A} b;", [("word", "${A}"), ("word", "b"), (";", ";")]),
        ("{% if a %}b;{% endif %}", [("mark", "{% if a %}"), ("word", "b"), (";", ";"),
                                     ("mark", "{% endif %}")]),
        ("{# { #}\n", [("mark", "{# { #}")]),
        ("a {{ b }}:{{ c }} {% d %};", [("word", "a"), ("word", "{{ b }}:{{ c }}"),
                                        ("word", "{% d %}"), (";", ";")]),
        ("a <%= b %>:1;", [("word", "a"), ("word", "<%= b %>:1"), (";", ";")]),
        ("a \"{{ b \"c\" }}\";", [("word", "a"), ("quoted", '{{ b "c" }}'), (";", ";")]),
        ("{{ a }} b;", [("word", "{{ a }}"), ("word", "b"), (";", ";")]),
        ("{{ if a }}b;{{ end }}", [("mark", "{{ if a }}"), ("word", "b"), (";", ";"),
                                   ("mark", "{{ end }}")]),
    ],
)  # fmt: skip
def test_words(text, words):
    assert texts(text) == words


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
@pytest.mark.parametrize(
    "lua",
    [
        "return {1, {2}}", "return '}'", 'return "\\"}"', "return 1 -- }", "--[[ } ]] return 1",
        "return [[ } ]]", "return [==[ } ]] ]==]", "-- it's }\nreturn 1",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "name", ["content_by_lua_block", "set_by_lua_block $x", '"rewrite_by_lua_block"']
)
def test_a_block_of_lua_is_one_word_with_any_content(name, blank, lua):
    begin, end = f"{name}{blank}{{", "\n}\nb;"
    words = list(words_in(begin + lua + end))
    count = len(name.split())
    assert [word.text for word in words[:count]] == name.replace('"', "").split()
    assert words[count].text == lua + "\n"
    assert [word.kind for word in words[count + 1 :]] == [";", "word", ";"]
    assert words[-1].line == 3 + blank.count("\n") + lua.count("\n")


@pytest.mark.parametrize("text", ["a 'b", "content_by_lua_block { if {", 'a "b\n;'])
def test_a_quote_or_block_without_end_is_unreadable(text):
    with pytest.raises(Problem, match="the file ends in the middle"):
        list(words_in(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a {{ b }};", True), ("{% if a %}\n", True), ("a <%= b %>;", True), ("${A}\n", False),
        ("a ${b};", False), ("content_by_lua_block { return {{1}} }", False),
        ("a '{{ b }}';", False),
    ],
)  # fmt: skip
def test_marks_of_templates_are_recognised_among_nginx_and_lua(text, expected):
    assert has_marks(text) is expected
