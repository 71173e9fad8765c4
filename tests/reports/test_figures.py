from types import ModuleType

from reports.page.figures import delta_data, draw_delta, draw_seeds, seeds_data


def test_delta_data_holds_the_estimates(synthetic: ModuleType) -> None:
    data = delta_data(synthetic.written_comparison())
    assert (data.label, data.better, data.margin) == ("MAE", "left", 0.05)
    assert [p.verdict for p in data.points] == ["baseline", "worse", "equivalent"]
    assert [(p.delta, p.low, p.high) for p in data.points] == [
        (0.0, None, None),
        (0.1, 0.05, 0.15),
        (0.001, -0.02, 0.025),
    ]


def test_axis_says_which_side_is_better_and_labels_are_escaped(synthetic: ModuleType) -> None:
    comparison = synthetic.written_comparison()
    for figure in (draw_delta(delta_data(comparison)), draw_seeds(seeds_data(comparison))):
        assert figure.layout.xaxis.title.text.startswith("← better")
        labels = " ".join(a.text for a in figure.layout.annotations)
        assert "<script>" not in labels and "&lt;script&gt;" in labels


def test_seeds_data_keeps_every_seed(synthetic: ModuleType) -> None:
    data = seeds_data(synthetic.written_comparison())
    assert data.reference == 0.7
    assert data.rows[0].seeds == (0, 1) and data.rows[0].values == (0.69, 0.71)
