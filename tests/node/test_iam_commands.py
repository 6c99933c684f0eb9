"""What `pyrite iam` does to a store that runs: each command has its effect, and a mistake says what it is."""

import json
from pathlib import Path

from botocore.exceptions import ClientError

from tests.node.test_commands import run
from tests.server import Server, wait_until


class Iam:
    """`pyrite iam` on one store."""

    def __init__(self, server: Server) -> None:
        self._store = ("--store", server.drives[0])

    def __call__(self, *words: object) -> str:
        done = run("iam", *words, *self._store)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def refused(self, *words: object) -> str:
        done = run("iam", *words, *self._store)
        assert done.returncode != 0 and b"Traceback" not in done.stderr, done
        return done.stderr.decode()


def document(folder: Path, name: str, statement: dict) -> Path:
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"Version": "2012-10-17", "Statement": statement}))
    return file


def test_rights_given_and_taken_by_commands(tmp_path: Path) -> None:
    """Policies are made, changed, attached by their names and taken away; groups, roles and keys likewise."""
    lists = document(tmp_path, "lists", {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"})
    reads = document(tmp_path, "reads", {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    trust = document(tmp_path, "trust", {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
    with Server([tmp_path / "d"]) as server:
        iam = Iam(server)
        made = json.loads(iam("create-user", "ada", "--json"))[0]
        key = made["access_key"]
        s3 = server.client(key, made["secret_key"])

        def may_list() -> bool:
            try:
                s3.list_buckets()
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
                return False
            return True

        assert not may_list()
        iam("create-policy", "rights", lists)
        iam("attach-user-policy", "ada", "rights")
        wait_until(may_list)
        for _ in range(6):  # more than a policy may have versions
            iam("update-policy", "rights", reads)
        assert "s3:GetObject" in iam("policy", "rights")
        wait_until(lambda: not may_list())
        assert "attached" in iam.refused("delete-policy", "rights")
        iam("detach-user-policy", "ada", "rights")
        iam("delete-policy", "rights")
        assert json.loads(iam("policies", "--json")) == []

        iam("create-group", "listers")
        iam("put-group-policy", "listers", "inline", lists)
        iam("join-group", "ada", "listers")
        wait_until(may_list)
        iam("deactivate-key", key)
        wait_until(lambda: not may_list())
        iam("activate-key", key)
        wait_until(may_list)
        iam("leave-group", "ada", "listers")
        wait_until(lambda: not may_list())
        iam("delete-group-policy", "listers", "inline")
        iam("delete-group", "listers")

        role = json.loads(
            iam("create-role", "worker", trust, "--policy", "arn:aws:iam::aws:policy/ReadOnlyAccess", "--json")
        )
        assert role[0]["arn"].endswith(":role/worker")
        assert "cannot be read" in iam.refused("create-role", "other", tmp_path / "absent.json")
        assert "cannot be found" in iam.refused("leave-group", "ada", "listers")
        (tmp_path / "bad.json").write_text("{}")
        assert iam.refused("put-user-policy", "ada", "bad", tmp_path / "bad.json")
        wrong = document(
            tmp_path, "wrong", {"Effect": "Allow", "Principal": {"AWS": "999999999999"}, "Action": "sts:*"}
        )
        assert "principal" in iam.refused("create-role", "stranger", wrong).lower()
        assert [one["role"] for one in json.loads(iam("roles", "--json"))] == ["worker"]
