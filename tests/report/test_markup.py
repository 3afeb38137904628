from hypothesis import given
from hypothesis import strategies as st

from flyball.report import Markup, join, tag


def test_text_is_escaped_and_markup_is_not() -> None:
    """A plain string cannot become an element; what is markup already stays as it is."""
    assert tag("p", "<b> & ", tag("i", "x")) == "<p>&lt;b&gt; &amp; <i>x</i></p>"


def test_an_attribute_cannot_be_left() -> None:
    """A quote in a value does not end the attribute."""
    assert tag("p", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;"></p>'


def test_attributes_follow_python_names() -> None:
    """A trailing underscore goes, an inner one becomes a dash, None is left out, floats have one decimal."""
    assert tag("line", class_="a", aria_hidden="true", id=None, x1=2.0, y1=1 / 3) == (
        '<line class="a" aria-hidden="true" x1="2" y1="0.3"></line>'
    )


def test_void_elements_have_no_end() -> None:
    """HTML knows no </br>."""
    assert tag("br") == "<br>"


@given(st.recursive(st.text(), lambda children: st.lists(children, max_size=3)))
def test_no_text_brings_an_element(children: str | list[str]) -> None:
    """However deep text is nested, no angle bracket of it survives."""
    assert "<" not in join(children)
    assert isinstance(join(children), Markup)
