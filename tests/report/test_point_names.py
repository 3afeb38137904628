"""Names beside points."""

import re

from hypothesis import given
from hypothesis import strategies as st

from flyball.report.point_names import placed_names

places = st.floats(min_value=0, max_value=600).map(round)


@given(points=st.lists(st.tuples(places, places), max_size=6, unique=True))
def test_names_keep_apart(points: list[tuple[int, int]]) -> None:
    """Of two names that are not on one line at least six pixels lie between the middles."""
    named = [(float(x), float(y), str(number)) for number, (x, y) in enumerate(points, 1)]
    texts = [str(text) for text in placed_names(named)]
    assert [re.sub("<.*?>", "", text) for text in texts] == [name for *_, name in named]
    spots = [
        (float(found[1]), float(found[2]))
        for text in texts
        if (found := re.search(r'x="([-\d.]+)" y="([-\d.]+)"', text))
    ]
    assert len(spots) == len(points)
    for index, (x, y) in enumerate(spots):
        for other_x, other_y in spots[:index]:
            assert abs(x - other_x) >= 6 or abs(y - other_y) >= 6


def test_a_lone_name_is_to_the_right() -> None:
    """Where nothing stands in the way."""
    (text,) = placed_names([(100.0, 50.0, "1")])
    assert 'x="111.2" y="54"' in str(text)
