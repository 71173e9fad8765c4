"""The fixed shape of a study file: every field of it, its default, its bounds and what it means.

The one list of a study's fields: `triptych schema`, `triptych explain` and `docs/studies.md` are
made from it. What is inside the open parts (fields of the configuration) is checked after it.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spaces.errors import StudyError, error_at
from spaces.fields.paths import did_you_mean
from spaces.find_core import DEFAULT
from spaces.syntax.document import Node

# Samplers that can tune for two metrics at once.
TWO_OBJECTIVES = ("tpe", "random", "qmc", "gp", "grid", "nsga2")
PARAMETERS = "parameters"  # a second metric that is no metric of the data: trained numbers

Count = Annotated[int, Field(ge=1, le=10_000)]
Hours = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


def _unit_of(name: str) -> dict[str, Any]:
    # The key that units of the configuration's fields have in the schema (`spaces.help.values`).
    return {"unit": name}


class Budget(BaseModel):
    """What every arm is given, the same for all, and where the whole study ends."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    candidates: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=20,
        description="configurations tried in each arm that has something to tune",
        json_schema_extra=_unit_of("candidates"),
    )
    device_seconds: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] | None = Field(
        default=None,
        description="seconds of training in each arm's tuning, instead of `candidates`: every arm "
        "tries as many as it can in them",
        json_schema_extra=_unit_of("seconds"),
    )
    tune_seeds: Count = Field(
        default=3,
        description="seeds on which each candidate is trained; they see validation only",
        json_schema_extra=_unit_of("seeds"),
    )
    confirm_seeds: Count = Field(
        default=10,
        description="fresh seeds on which the best candidate of each arm is tested",
        json_schema_extra=_unit_of("seeds"),
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        default=0, description="of the sampler; the cells' seeds follow from it too"
    )
    generation: Count = Field(
        default=10,
        description="candidates of an arm that are asked for together, knowing the results of all "
        "earlier generations",
        json_schema_extra=_unit_of("candidates"),
    )
    scheduler: Literal["none", "bracket", "asha"] = Field(
        default="none",
        description="which candidates are stopped early: `none`; `bracket`, the worse ones of each "
        "`bracket` candidates; `asha`, those that fall behind all earlier ones of their arm",
    )
    bracket: Annotated[int, Field(ge=2, le=10_000)] = Field(
        default=9, description="candidates of a bracket", json_schema_extra=_unit_of("candidates")
    )
    max_wall_hours: Hours | None = Field(
        default=None,
        description="hours of wall time of all runs of the study after which no work is handed out "
        "any more; the same command with a higher ceiling goes on",
        json_schema_extra=_unit_of("hours"),
    )
    max_device_hours: Hours | None = Field(
        default=None,
        description="the same for hours of training, summed over all devices",
        json_schema_extra=_unit_of("hours"),
    )


class StudyFields(BaseModel):
    """A study file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    study: str = Field(description="its name, and that of its results folder")
    question: str = Field("", description="what the study asks, in one sentence")
    data: str | dict[str, Any] | None = Field(
        None,
        description="a feature file; or {file, labels, text_model}, {planted: ...}, or "
        "{sets: {name: ...}} for several data sets (docs/data.md); default: what the core brings "
        "along, `planted` for the core that ships",
    )
    core: str = Field(
        DEFAULT,
        description="what is trained: a Python file with a function `train` (docs/functions.md), "
        "an installed module with one, the core that ships, one of an installed package by its "
        "name, or `package.module:NAME`",
    )
    task: str | None = Field(
        None,
        description="what predictions and labels are: `regression`, `binary`, `multiclass`, "
        "`multilabel` or `scores` for a function; decides the metrics",
    )
    plugins: list[str] = Field([], description="Python files with modules of your own")
    base: dict[str, Any] = Field(
        {}, description="the configuration that every arm starts from; any field left out keeps "
        "its default",
    )  # fmt: skip
    components: dict[str, Any] = Field(
        {}, description="groups of fields that switch together, under a name that designs use"
    )
    search: dict[str, Any] = Field(
        {}, description="field -> domain: what is tuned, in every arm in which it means something"
    )
    start: list[dict[str, Any]] | dict[str, Any] = Field(
        [], description="candidates that are tried first, e.g. a paper's own values"
    )
    constraints: list[str | dict[str, Any]] | str | dict[str, Any] = Field(
        [], description="conditions that every candidate satisfies"
    )
    arms: list[dict[str, Any]] = Field(description="the rows of the table, as a list of designs")
    exclude: list[str | dict[str, Any]] | str | dict[str, Any] = Field(
        [], description="conditions: arms that satisfy one are left out"
    )
    baseline: str | None = Field(
        None, description="the arm that all others are compared with; default: the reference of "
        "the first design that has one",
    )  # fmt: skip
    metric: str | None = Field(
        None, description="the primary metric: tuned on validation, verdicts on test; default: the "
        "first one of the data's task, such as `mae`",
    )  # fmt: skip
    second_metric: str | None = Field(
        None, description=f"a second objective of the tuning, a metric or `{PARAMETERS}`: of the "
        "candidates within the margin of the best one, the best by this is confirmed",
    )  # fmt: skip
    margin: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        {}, description="metric -> smallest difference that you care about, in its unit"
    )
    sampler: Literal["tpe", "random", "qmc", "cmaes", "gp", "grid", "nsga2"] = Field(
        "tpe", description="how candidates are chosen: Optuna's samplers, or every point of a grid"
    )
    retune: bool | Literal["both"] = Field(
        True, description="true: every arm is tuned; false: the baseline alone, and the others "
        "take its best values; both: each arm either way",
    )  # fmt: skip
    claims: list[str] = Field(
        [], description="sentences that the report answers, e.g. `without text is worse on mae by "
        "at least 0.01`",
    )  # fmt: skip
    budget: Budget = Field(default_factory=Budget, description="what every arm is given")


STUDY_FIELDS = tuple(StudyFields.model_fields)


def check_shape(root: Node) -> StudyFields:
    """Check the shape of a study file, and return its fields in their types.

    Raises:
        StudyError: The first that is missing, unknown or of another type.
    """
    try:
        return StudyFields.model_validate(root.plain_value())
    except ValidationError as error:
        raise _first_mistake(root, error) from None


def _first_mistake(root: Node, error: ValidationError) -> StudyError:
    first = error.errors()[0]
    location = tuple(part for part in first["loc"] if _is_written(part))
    name, where = ".".join(str(part) for part in location), root.find_node(location).where
    if first["type"] == "missing":
        return error_at(root.where, f"'{name}' is missing; every study needs it")
    if first["type"] == "extra_forbidden":
        inside_budget = location[0] == "budget" and len(location) > 1
        allowed = tuple(Budget.model_fields) if inside_budget else STUDY_FIELDS
        hint = did_you_mean(str(location[-1]), allowed)
        return error_at(
            where, f"'{name}' is not a field of a study{hint}; allowed are {', '.join(allowed)}"
        )
    forms = [one for one in error.errors() if one["loc"][0] == first["loc"][0]]
    if all(_is_written(part) for part in first["loc"]):
        forms = [first]  # of one type; otherwise each of its types has been tried
    message = " or ".join(dict.fromkeys(_plain_message(one["msg"]) for one in forms))
    message = message.replace(" or must be", " or")
    return error_at(where, f"'{name}': {message}, but got {_shorten_value(first['input'])}")


def _is_written(part: object) -> bool:
    # Pydantic puts the names of the types that it tried among the keys of the file.
    of_types = ("dict[", "list[", "literal[", "constrained-")
    return str(part) not in ("str", "bool", "float") and not str(part).startswith(of_types)


def _plain_message(message: str) -> str:
    """Write Pydantic's message in the words of the other messages."""
    message = message.replace("a valid integer", "a whole number").replace("a valid ", "a ")
    message = message.replace("a dictionary", "a mapping").replace("a string", "a text")
    message = message.replace("a boolean", "true or false")
    return message.replace("Input should be", "must be")


def _shorten_value(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
