from pathlib import Path

import pytest

from flyball.errors import UsageError
from flyball.workload import parse_lengths

DATA = Path(__file__).parent / "data"


def test_one_count_a_line() -> None:
    """Plain counts weigh the same each time they occur; a header and blank lines are passed over."""
    histogram = parse_lengths("tokens\n12\n5\n\n12\n", source="x", part="input_tokens")
    assert histogram.tokens == (5, 12)
    assert histogram.weights == (1.0, 2.0)


def test_counts_with_weights() -> None:
    """`tokens,weight` lines give the weights; a count of 0 is read as 1."""
    histogram = parse_lengths("0,0.5\n1,0.25\n8,2\n", source="x", part="output_tokens")
    assert histogram.tokens == (1, 8)
    assert histogram.weights == (0.75, 2.0)


def test_plain_json() -> None:
    """A JSON object of weights by count."""
    histogram = parse_lengths('{"256": 0.75, "128": 0.25}', source="x", part="input_tokens")
    assert histogram.tokens == (128, 256)
    assert histogram.weights == (0.25, 0.75)


def test_servegen_histograms() -> None:
    """A file with both parts gives the one asked for."""
    text = (DATA / "servegen_lengths.json").read_text()
    prompts = parse_lengths(text, source="x", part="input_tokens")
    outputs = parse_lengths(text, source="x", part="output_tokens")
    assert len(prompts.tokens) == 40
    assert dict(zip(prompts.tokens, prompts.weights, strict=True))[14] == 4.688e-05
    assert outputs != prompts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x holds no token counts"),
        ("12,0\n", "x holds no token counts"),
        ("12\ntwelve\n", "x:2: 'twelve' with weight '1' is not a token count"),
        ("12,-1\n", "x:1: '12' with weight '-1' is not a token count"),
        ("12.5\n", "x:1: '12.5' with weight '1' is not a token count"),
        ("inf\n1e999\n", "x:2: '1e999' with weight '1' is not a token count"),
        ('{"12": "often"}', "x: '12' with weight 'often' is not a token count"),
        ('{"hist": {"output_tokens": {"1": 1}}}', "x holds no histogram of input_tokens"),
        ('{"hist": [1]}', "x holds no histogram of input_tokens"),
        ('{"12": 1', "x is not valid JSON: Expecting ',' delimiter: line 1 column 9 (char 8)"),
    ],
)
def test_mistakes_name_the_place(text: str, message: str) -> None:
    """Whatever is wrong in a file of lengths, the error names the place and says what to write."""
    with pytest.raises(UsageError) as caught:
        parse_lengths(text, source="x", part="input_tokens")
    assert caught.value.what == message
    assert caught.value.fix
