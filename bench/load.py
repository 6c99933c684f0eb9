"""The load: requests signed beforehand and sent by wrk, so that no Python client is what is measured."""

import hashlib
import hmac
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from bench.peers import ACCESS_KEY, SECRET_KEY

_SCRIPT = """
local counter = 0
function setup(thread) thread:set("id", counter); counter = counter + 1 end
function init(args)
  requests = {}
  local file = io.open(args[1], "rb")
  local data = file:read("*a")
  file:close()
  local threads = tonumber(args[2])
  local at, n = 1, 0
  while at <= #data do
    local a, b, c, d = data:byte(at, at + 3)
    local size = ((a * 256 + b) * 256 + c) * 256 + d
    if n % threads == id then requests[#requests + 1] = data:sub(at + 4, at + 3 + size) end
    at, n = at + 4 + size, n + 1
  end
  position = 0
end
function request()
  position = position % #requests + 1
  return requests[position]
end
function done(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.status + summary.errors.read + summary.errors.timeout))
end
"""


class Result(NamedTuple):
    """One measurement: requests a second, latency in µs, failed requests."""

    rate: float
    p50_us: int
    p99_us: int
    failed: int


class Signer:
    """Signs requests for one server (Signature Version 4)."""

    def __init__(self, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        key = b"AWS4" + SECRET_KEY.encode()
        for part in (self.date[:8], "us-east-1", "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key

    def request(self, method: str, path: str, query: str = "", body: bytes = b"") -> bytes:
        """A whole request as it goes over the wire."""
        digest = hashlib.sha256(body).hexdigest()
        scope = f"{self.date[:8]}/us-east-1/s3/aws4_request"
        signed = "host;x-amz-content-sha256;x-amz-date"
        headers = f"host:{self.host}\nx-amz-content-sha256:{digest}\nx-amz-date:{self.date}\n"
        canonical = f"{method}\n{quote(path)}\n{query}\n{headers}\n{signed}\n{digest}"
        text = f"AWS4-HMAC-SHA256\n{self.date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        target = quote(path) + (f"?{query}" if query else "")
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: {self.host}\r\nx-amz-date: {self.date}\r\n"
            f"x-amz-content-sha256: {digest}\r\nAuthorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}\r\n"
        )
        if body or method == "PUT":
            head += f"Content-Length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body


def run(
    folder: Path, port: int, requests: Iterable[bytes], seconds: float, connections: int, threads: int = 1
) -> Result:
    """Send `requests` round and round for `seconds` over `connections`; threads take turns with them."""
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is needed: apt-get install wrk")
    script, data = folder / "load.lua", folder / "requests.bin"
    script.write_text(_SCRIPT)
    with data.open("wb") as file:
        for request in requests:
            file.write(struct.pack(">I", len(request)) + request)
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{int(seconds)}s", "--timeout", "30s", "-s", str(script)]
    command += [f"http://127.0.0.1:{port}", "--", str(data), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds * 10 + 120)
    match = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if match is None:
        raise RuntimeError(done.stdout + done.stderr)
    count, micros, p50, p99, failed = (int(group) for group in match.groups())
    return Result(count / (micros / 1e6), p50, p99, failed)
