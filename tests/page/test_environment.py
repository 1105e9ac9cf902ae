from convergan.page.environment import whole_options


def test_options_are_found_and_all_else_is_escaped() -> None:
    text = "<b> --networks.*-noise, --objective.minimax.weight 1 -- or a--b, 10 --9."
    assert whole_options(text) == (
        '&lt;b&gt; <span class="option">--networks.*-noise</span>, '
        '<span class="option">--objective.minimax.weight</span> 1 -- or a--b, 10 --9.'
    )
    assert whole_options("Try --batch-size.") == ('Try <span class="option">--batch-size</span>.')
