"""Unit tests of the keys of identity providers."""

import asyncio

import pytest

from pyrite.core.errors import PyriteError
from pyrite.iam.errors import RejectedIdentity
from pyrite.iamapi.issuers import LOOK_AGAIN_S, Issuers


class _Clock:
    now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s


def test_a_provider_that_fails_is_asked_once_in_a_while() -> None:
    """Tokens of a provider that fails do not each ask it again, and strangers do not learn where it is."""
    asked, clock = [], _Clock()

    async def fetch(url: str) -> bytes:
        asked.append(url)
        await asyncio.sleep(0)
        raise PyriteError("10.0.0.7 refuses")

    async def main() -> None:
        issuers = Issuers(fetch, clock)  # type: ignore[arg-type]
        told = await asyncio.gather(*(issuers.keys_of("https://a.b", "k") for _ in range(5)), return_exceptions=True)
        assert all(isinstance(one, RejectedIdentity) and "10.0.0.7" not in str(one) for one in told)
        assert len(asked) == 1
        clock.now_s += LOOK_AGAIN_S + 1
        with pytest.raises(RejectedIdentity):
            await issuers.keys_of("https://a.b", "k")
        assert len(asked) == 2

    asyncio.run(main())
