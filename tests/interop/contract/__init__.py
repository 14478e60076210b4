"""Holds exchanges against the official contracts of Azure's APIs.

`load` reads the contracts, `match` finds the operation of an exchange, `schema` turns swagger schemas into JSON Schema,
`parameters` and `xml` turn what is not JSON into JSON, `validate` judges.
"""
