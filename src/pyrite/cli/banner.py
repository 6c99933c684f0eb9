"""Owns what `pyrite serve` prints once it is up."""

import sys

from pyrite.node.config import Config
from pyrite.node.drives import CREDENTIALS
from pyrite.node.opening import Opened
from pyrite.node.warnings import warnings_of


def announce(config: Config, opened: Opened) -> None:
    """Print where the store listens, how it is laid out, and how to sign in."""
    scheme = "https" if config.tls_certificate else "http"
    shown = f"[{config.host}]" if ":" in config.host else config.host
    lines = [
        f"Pyrite serves S3 on {scheme}://{shown}:{config.port} (region {config.region})",
        f"  drives      {len(opened.online)} of {len(opened.drives)} online: "
        + ", ".join(str(path) for path in opened.online),
        f"  access key  {opened.credentials.access_key}",
    ]
    if opened.generated:
        lines.append(f"  secret key  {opened.credentials.secret_key}")
        lines.append(f"  (made for this store; kept in {opened.online[0] / CREDENTIALS}, readable by you alone)")
    else:
        lines.append("  secret key  as configured")
    lines += [f"  warning     {warning}" for warning in warnings_of(config)]
    lines += [f"  note        {note}" for note in opened.notes]
    print("\n".join(lines))
    sys.stdout.flush()
