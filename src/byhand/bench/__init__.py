"""Is it fast? A race: byhand and whatever else is installed here, on the same work, in turns, in one run.

A figure from another machine says little, and one from the same machine an hour later not much more. So the sides take
turns, A B A B, after a round that does not count; what is compared is the middle one of the turns of each, and how far
they lie apart is shown beside it. A peer's program stands in a file of its own (`with_pytorch`, `with_jax`, ...) as its
own documentation would write it, at its best: the data in memory, ready as float32, and nothing around the loop.

`rows` is the list of what is measured and how much faster byhand means to be, `report` measures and tells. Where byhand
loses, the line stays.

    from byhand.bench.report import measure
    from byhand.bench.rows import rows_named
    print(measure(rows_named(["mlp"])).text())
"""
