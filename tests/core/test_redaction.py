"""What logs tell of URLs opens nothing."""

from pyrite.core.redaction import without_secrets, without_signature


def test_targets_in_logs_open_nothing() -> None:
    """Signatures and session tokens of presigned URLs do not stand in logs, whatever their case."""
    shown = without_signature(b"/b/k?X-Amz-Signature=s1&x-amz-security-token=s2&Signature=s3&a=b")
    assert not any(secret in shown for secret in (b"s1", b"s2", b"s3")) and shown.endswith(b"&a=b")


def test_passwords_of_any_form_are_not_shown() -> None:
    """What stands before the last `@` of a place is a secret, slashes too, and so is the query."""
    assert without_secrets("https://u:p/w@d@h/x?q=1") == "https://(secret)@h/x?(secret)"
