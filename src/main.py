"""The sample function: a pydantic model, whose core is a compiled extension."""

from pydantic import BaseModel


class User(BaseModel):
    id: int
    name: str
    age: int


def handler(event, context):
    """Return a user as a plain dictionary, which Lambda turns into JSON."""
    return User(id=1, name="John", age=30).model_dump()
