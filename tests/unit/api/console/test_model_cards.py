"""Model cards: figures in order, and what a card lacks left out."""

from api.console.model_cards import Confusion, classes_of, facts_of, measured_of

AUC = {"value": 0.9, "low": 0.8, "high": 0.95}


def test_bare_card_tells_nothing() -> None:
    assert (measured_of({}), facts_of({})) == ([], [])


def test_class_without_calibration_is_listed() -> None:
    (found,) = classes_of({}, ["real"])
    assert (found.name, found.calibration_images, found.smallest_p) == ("real", None, None)


def test_unseen_figures_begin_with_all() -> None:
    open_set = {name: {"auroc": AUC} for name in ("glid", "tier near", "all")}
    (run,) = measured_of({"metrics": {"neutral": {"images": 5, "open_set": open_set}}})
    assert [figure.label for figure in run.open_set] == ["all", "tier near", "glid"]


def test_figure_without_interval_is_its_own() -> None:
    (run,) = measured_of({"metrics": {"neutral": {"closed_set": {"top1": {"value": 0.7}}}}})
    assert (run.closed_set[0].low, run.closed_set[0].high) == (0.7, 0.7)


def test_shade_is_share_of_row() -> None:
    assert Confusion(["a", "b"], [[9, 1], [0, 0]]).shade(0, 0) == 9
