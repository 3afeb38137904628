"""`flyball schema`."""

import json

from flyball.spec import ServingSpec


def schema() -> None:
    """Print the JSON schema of the spec (JSON Schema 2020-12), for editors and checks."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **ServingSpec.model_json_schema()}
    print(json.dumps(document, indent=2))
