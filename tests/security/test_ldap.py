"""Signing in with a real LDAP server: who may, who may not, and what an attacker writes into a name."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.conftest import client_of
from tests.security.people import ALL, OWNER, SECRET, write_identities
from tests.security.wire import Wire
from tests.server import Server, free_port, wait_until

SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PASSWORD = "password-of-the-directory"
PEOPLE = """\
dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
dc: example
o: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups
"""


def person(name: str) -> str:
    return f"""
dn: uid={name},ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: {name}
cn: {name}
sn: {name}
userPassword: {PASSWORD}
"""


def group(name: str, *members: str) -> str:
    listed = "".join(f"member: uid={member},ou=people,dc=example,dc=com\n" for member in members)
    return f"\ndn: cn={name},ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: {name}\n{listed}"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an LDAP server with four people in two groups."""
    if SLAPD is None:
        pytest.skip("slapd is not installed")
    folder = tmp_path_factory.mktemp("ldap")
    (folder / "db").mkdir()
    schemas = "".join(f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson"))
    (folder / "slapd.conf").write_text(
        f"{schemas}pidfile {folder}/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nallow bind_anon_dn\n"
        f'database mdb\nsuffix "dc=example,dc=com"\nrootdn "cn=admin,dc=example,dc=com"\nrootpw {PASSWORD}\ndirectory {folder}/db\n'
    )
    people = PEOPLE + "".join(person(name) for name in ("ada", "bob", "eve", "mallory"))
    (folder / "people.ldif").write_text(people + group("ml", "ada") + group("ops", "bob", "ada"))
    slapadd = str(Path(SLAPD).with_name("slapadd"))
    subprocess.run(
        [slapadd, "-f", str(folder / "slapd.conf"), "-l", str(folder / "people.ldif")], check=True, capture_output=True
    )
    port = free_port()
    process = subprocess.Popen(
        [SLAPD, "-f", str(folder / "slapd.conf"), "-h", f"ldap://127.0.0.1:{port}", "-d", "none"],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _listens(port))
        yield port
    finally:
        process.terminate()
        process.wait(60)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def store(directory: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("ldap-store")
    (folder / "password").write_text(PASSWORD)
    (folder / "ldap.toml").write_text(
        f'url = "ldap://127.0.0.1:{directory}"\ninsecure = true\nbind_dn = "cn=admin,dc=example,dc=com"\n'
        f'bind_password_file = "{folder}/password"\nuser_base = "ou=people,dc=example,dc=com"\n'
        f'group_base = "ou=groups,dc=example,dc=com"\naccount = "{OWNER}"\n'
        '[roles]\n"cn=ml,ou=groups,dc=example,dc=com" = "scientist"\n"cn=absent,ou=groups,dc=example,dc=com" = "nobody"\n'
    )
    identities = write_identities(folder)
    role = f'\n[[account]]\nid = "{OWNER}"\n[[account.role]]\nname = "scientist"\npolicies = ["{ALL}"]\n'
    trust = '{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "sts:*"}}'
    identities.write_text(identities.read_text() + role + f"trust = '{trust}'\n")
    with Server(
        [folder / "drive"], "--identities", str(identities), "--ldap", str(folder / "ldap.toml"), "--workers", "1"
    ) as server:
        yield server


def sign_in(server: Server, name: str, password: str):
    from urllib.parse import urlencode

    fields = {
        "Action": "AssumeRoleWithLDAPIdentity",
        "LDAPUsername": name,
        "LDAPPassword": password,
        "Version": "2011-06-15",
    }
    return Wire(server.endpoint).send("POST", "/", FORM, urlencode(fields).encode())


def test_the_groups_of_a_person_give_a_role(store: Server) -> None:
    """Ada signs in and works with the role of her group; Bob, whose group gives none, is refused."""
    answer = sign_in(store, "ada", PASSWORD)
    assert answer.status == 200, answer

    def field(name: str) -> str:
        return answer.body.decode().partition(f"<{name}>")[2].partition("<")[0]

    s3 = client_of(store, "s3", field("AccessKeyId"), field("SecretAccessKey"), field("SessionToken"))
    s3.create_bucket(Bucket="of-ada")
    s3.delete_bucket(Bucket="of-ada")
    sts = client_of(store, "sts", field("AccessKeyId"), field("SecretAccessKey"), field("SessionToken"))
    assert sts.get_caller_identity()["Arn"].endswith("assumed-role/scientist/ada")
    assert (sign_in(store, "bob", PASSWORD).status, sign_in(store, "bob", PASSWORD).code) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("eve", ""),
        ("", PASSWORD),
        ("eve", "wrong"),
        ("no-such-person", PASSWORD),
        ("*", PASSWORD),
        ("e*", PASSWORD),
        ("eve)(uid=*", PASSWORD),
        ("*)(|(uid=*", PASSWORD),
        ("eve\0", PASSWORD),
        ("ada)(objectClass=*))(|(uid=ada", PASSWORD),
        ("cn=admin,dc=example,dc=com", PASSWORD),
    ],
)
def test_names_and_passwords_that_do_not_fit(directory: int, store: Server, name: str, password: str) -> None:
    """An empty password, a wrong one, nobody's name, and names with a filter in them: one and the same answer."""
    store.stop()
    store.start()  # so that failures of the tests before do not count
    answer = sign_in(store, name, password)
    assert (answer.status, answer.code) == (400, "InvalidIdentityToken")
    assert b"The user name or password is wrong." in answer.body
    assert PASSWORD.encode() not in store.log.read_bytes() and SECRET.encode() not in store.log.read_bytes()


def test_guessing_is_slow(store: Server) -> None:
    """CVE-2026-33419: after five failures within a minute the right password helps no more either."""
    store.stop()
    store.start()
    codes = [sign_in(store, "mallory", f"guess-{number}").code for number in range(7)]
    assert codes[:5] == ["InvalidIdentityToken"] * 5 and codes[5:] == ["AccessDenied"] * 2
    assert sign_in(store, "mallory", PASSWORD).code == "AccessDenied"
