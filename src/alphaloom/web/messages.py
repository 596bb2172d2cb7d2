"""What the JSON API takes and gives."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from alphaloom.web.jobs import Job

Short = Annotated[str, StringConstraints(max_length=200)]


class Message(BaseModel):
    """Base of all messages: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class RecipeChoice(Message):
    """A recipe: the name of a shipped one, or a YAML text."""

    shipped: Short | None = None
    """Name of a shipped recipe."""
    source: Annotated[str, StringConstraints(max_length=100_000)] | None = None
    """YAML text."""
    scale: Short | None = None
    """A scale that the recipe defines, such as `small`; `full` or nothing for the recipe as it stands."""
    overrides: Annotated[list[Annotated[str, StringConstraints(max_length=500)]], Field(max_length=100)] = []
    """`setting.part=value`, applied in order."""


class StartRequest(RecipeChoice):
    """A run to queue."""

    store: Short
    """Name of the store of data."""
    run: Short | None = None
    """Name of the run's folder; made from the recipe's name and hash when left out."""


class TagRequest(Message):
    """Tags to add and to remove."""

    add: Annotated[list[Short], Field(max_length=50)] = []
    remove: Annotated[list[Short], Field(max_length=50)] = []


class LoginRequest(Message):
    """The token."""

    token: Annotated[str, StringConstraints(max_length=500)]


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


class ResolvedRecipe(BaseModel):
    """A recipe with every default spelt out."""

    name: str
    recipe_hash: str
    source: str


class ShippedRecipe(BaseModel):
    """A recipe that comes with the program."""

    name: str
    description: str
    scales: list[str]


class StoreFacts(BaseModel):
    """A store that is served."""

    name: str
    market: str
    fingerprint: str
    tables: list[str]


class JobOutput(BaseModel):
    """A job and the end of what it printed."""

    job: Job
    output: str


class Prediction(BaseModel):
    """Scores and target weights of one date."""

    date: str
    scores: list[dict[str, Any]]
    weights: list[dict[str, Any]]
