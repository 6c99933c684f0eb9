"""What a declaration changes is told from what to what."""

import json

from pyrite.iam.differences import differences


def test_fields_of_every_kind() -> None:
    """Texts, sets of names, tags, and documents line by line; what is the same is not told."""
    assert list(differences("path", "/", "/")) == []
    assert list(differences("path", "/a/", "/b/")) == ['    path: "/a/" -> "/b/"']
    assert list(differences("attached", ("x", "y"), ("y", "z"))) == ['    - attached: "x"', '    + attached: "z"']
    assert list(differences("tags", {"a": "1", "b": "2"}, {"b": "3", "c": "4"})) == [
        '    tags.a: "1" -> ""',
        '    tags.b: "2" -> "3"',
        '    tags.c: "" -> "4"',
    ]
    old, new = json.dumps({"Effect": "Allow", "Action": "s3:Get*"}), json.dumps({"Effect": "Deny", "Action": "s3:Get*"})
    assert list(differences("inline", {"p": old}, {"p": new})) == [
        "    inline.p:",
        "       {",
        '      -  "Effect": "Allow",',
        '      +  "Effect": "Deny",',
        '         "Action": "s3:Get*"',
    ]
    assert len(list(differences("trust", "{}", "{not json"))) > 1
    assert max(map(len, differences("description", "a" * 1000, ""))) < 200
