"""What Tune would keep of every trial until the end, and does not."""

from typing import Any

from ray.tune.experiment import Trial

from search.engine.ray_patches import MOST_FINISHED, drop_finished, empty_trial


def trial_that(status: str) -> Any:
    """A trial of one pack, which said a number."""
    trial = Trial("made up", stub=True, config={"pack": "a pack"}, evaluated_params={"pack": 1})
    trial.update_last_result({"config": {"pack": "a pack"}, "epoch": 3, "done": True})
    trial.set_status(status)
    return trial


def test_a_trial_that_is_over_holds_no_pack_and_no_statistics() -> None:
    trial = trial_that(Trial.RUNNING)
    empty_trial(trial)
    trial.set_status(Trial.TERMINATED)
    assert "a pack" not in repr(vars(trial)) + repr(vars(trial.run_metadata))
    assert trial.run_metadata.metric_analysis == {}
    assert trial.last_result["epoch"] == 3
    assert trial.is_finished()


def test_finished_trials_are_dropped_from_a_long_list_and_no_others() -> None:
    done = [trial_that(Trial.TERMINATED) for _ in range(MOST_FINISHED // 2)]
    failed = [trial_that(Trial.ERROR) for _ in range(MOST_FINISHED // 2)]
    trials = [*done, *failed]
    drop_finished(trials)
    assert trials == [*done, *failed]
    others = [trial_that(status) for status in (Trial.RUNNING, Trial.PENDING, Trial.PAUSED)]
    trials += others
    drop_finished(trials)
    assert trials == others
