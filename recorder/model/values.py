"""Values as the JSON Schemas of a package bound them."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

type Count = Annotated[int, Meta(ge=0)]
type Seconds = Annotated[float, Meta(ge=0, le=1e9)]
"""No recording lasts thirty years; what a package says that came from elsewhere is calculated with all the same."""
type Uuid = Annotated[str, Meta(pattern="^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")]
type Moment = Annotated[datetime, Meta(tz=True)]
