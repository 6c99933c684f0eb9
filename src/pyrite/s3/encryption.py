"""Owns server-side encryption as S3 knows it: what a request or a bucket asks for, and the keys of objects.

Every sealed object has a key of its own. That one is wrapped under the store's keyring (SSE-S3), under a KMS key
(SSE-KMS), or under the client's own key (SSE-C), and stands so in the object's record.
Source: AWS, "Protecting data with encryption" in the Amazon S3 User Guide.
"""

import base64
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from pyrite.aws.arns import bucket_arn
from pyrite.core.entropy import Entropy
from pyrite.core.keyring import KEY_BYTES, Keyring, NotUnwrapped, Wrapped, unwrap, wrap
from pyrite.core.lru import LruMap
from pyrite.http.response import Headers
from pyrite.iam.patterns import Values
from pyrite.kms.access import check_use, default_policy
from pyrite.kms.errors import KmsAccessRefused
from pyrite.kms.keys import KmsKeys
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import Encryption
from pyrite.objects.sealing import KEY_PURPOSE as PURPOSE
from pyrite.objects.sealing import Sealing
from pyrite.s3.bucketencryption import DefaultEncryption, default_of
from pyrite.s3.compat import Compat
from pyrite.s3.customerkeys import CUSTOMER, CustomerKey, customer_key
from pyrite.s3.errors import S3Error, bad_argument
from pyrite.s3.request import S3Request, text_of

SSE = b"x-amz-server-side-encryption"
KMS_KEY_ID = SSE + b"-aws-kms-key-id"
CONTEXT = SSE + b"-context"
BUCKET_KEY = SSE + b"-bucket-key-enabled"
REQUEST_HEADERS = frozenset(
    (SSE, KMS_KEY_ID, CONTEXT, BUCKET_KEY, *(CUSTOMER + name for name in (b"algorithm", b"key", b"key-md5")))
)
KMS_ALGORITHMS = ("aws:kms", "aws:kms:dsse")

OPENED_MAX = 4096

_CUSTOMER_ALGORITHM = "SSE-C"
_NO_KEYRING = "This store has no keyring, so it cannot encrypt. Start it with --keyring FILE."


About = Callable[[S3Request], Mapping[str, Values]]
OF_REQUESTS = (
    "aws:currenttime",
    "aws:epochtime",
    "aws:referer",
    "aws:requestedregion",
    "aws:securetransport",
    "aws:sourceip",
    "aws:useragent",
)
"""What policies of keys may ask about the request for which S3 uses them."""


class Asked(NamedTuple):
    """What is asked for of a new object: an algorithm, and a KMS key and context where it needs one."""

    algorithm: str
    kms_key: str = ""
    context: str = ""
    bucket_key: bool = False


class Encryptor:
    """Makes, wraps and opens the keys of objects."""

    def __init__(
        self, keyring: Keyring | None, keys: KmsKeys, entropy: Entropy, region: str, compat: Compat, about: About
    ) -> None:
        """`about` gives the condition keys of a request."""
        self._keyring = keyring
        self.keys = keys
        self._entropy = entropy
        self._region = region
        self._compat = compat
        self._about = about
        self._opened: LruMap[bytes, bytes] = LruMap(OPENED_MAX)  # keys of objects by what is stored of them

    @property
    def is_on(self) -> bool:
        """Whether the store has a keyring, so that everything is encrypted."""
        return self._keyring is not None

    def new_name(self) -> str:
        """A name that nobody has used."""
        return self._entropy.bytes(24).hex()

    # ---- new objects

    async def for_new(self, request: S3Request, bucket: Bucket, key: bytes | None = None) -> Sealing | None:
        """How to seal what the request makes: as it asks, else as the bucket says, else under the keyring if there is
        one. `key` is the one that the bytes have already. Raises S3Error.
        """
        fields, default = request.headers, default_of(bucket)
        if REQUEST_HEADERS.isdisjoint(fields):
            asked = default_asked(default)
        else:
            if SSE in fields and any(name.startswith(CUSTOMER) for name in fields):
                raise bad_argument(
                    "Server Side Encryption with Customer provided key is incompatible with the encryption method "
                    "specified",
                    text_of(SSE),
                    text_of(fields[SSE]),
                )
            customer = customer_key(request, CUSTOMER)
            if customer is not None:
                return self._for_customer(fields, customer, default, key)
            asked = asked_of(fields, default)
        if asked is None:
            return self.under_keyring(key) if self._keyring is not None else None
        return await self.as_asked(request, bucket, asked, key)

    async def as_asked(self, request: S3Request, bucket: Bucket, asked: Asked, key: bytes | None) -> Sealing:
        """How to seal under the keyring or a KMS key. Raises S3Error."""
        if asked.algorithm == "AES256":
            if self._keyring is None:
                raise S3Error("NotImplemented", _NO_KEYRING)
            return self.under_keyring(key)
        return await self._under_kms(request, bucket, asked, key)

    async def account_of(self, request: S3Request, kms_key: str) -> str:
        """The account whose KMS key is meant. Raises NoSuchKmsKey and others."""
        return (await self.keys.find(request.caller.account, kms_key)).record.account

    def may_seal_quickly(self, bucket: Bucket) -> bool:
        """Whether new objects of the bucket need no KMS key unless the request says otherwise."""
        default = default_of(bucket)
        return default is None or default.algorithm == "AES256"

    def quick(self) -> Sealing | None:
        """How to seal a new object where neither request nor bucket ask for anything special."""
        return self.under_keyring(None) if self._keyring is not None else None

    def under_keyring(self, key: bytes | None) -> Sealing:
        """A key wrapped under the keyring."""
        assert self._keyring is not None
        key = key or self._keyring.new_key()
        wrapped = self._keyring.wrap(key, PURPOSE)
        return Sealing(Encryption("AES256", wrapped.key_id, wrapped.secret), key)

    def _for_customer(
        self, fields: Mapping[bytes, bytes], customer: CustomerKey, default: DefaultEncryption | None, key: bytes | None
    ) -> Sealing:
        if KMS_KEY_ID in fields:
            raise S3Error(
                "InvalidArgument",
                "Server Side Encryption with Customer provided key is incompatible with "
                "the encryption method specified",
            )
        if default is not None and default.blocks_customer_keys:
            raise S3Error("AccessDenied", "This bucket does not accept objects encrypted with SSE-C")
        key = key or self._entropy.bytes(KEY_BYTES)
        wrapped = wrap(AESGCMSIV(customer.key), key, PURPOSE, self._entropy)
        return Sealing(Encryption(_CUSTOMER_ALGORITHM, customer.md5, wrapped), key)

    async def _under_kms(self, request: S3Request, bucket: Bucket, asked: Asked, key: bytes | None) -> Sealing:
        if self._keyring is None:
            raise S3Error("NotImplemented", _NO_KEYRING)
        caller = request.caller
        account = caller.account
        if asked.kms_key:
            found = await self.keys.find(account, asked.kms_key)
        elif self._compat.no_default_key:
            raise S3Error("InvalidArgument", "Server Side Encryption with KMS managed key requires a key id")
        else:
            found = await self.keys.for_s3(account, _policy_of_default(account))
        arn = self.keys.arn(found.record)
        context = self._context(asked.context, bucket, b"" if asked.bucket_key else request.key)
        self._check_use(request, "kms:GenerateDataKey", arn, found.record, context)
        if key is None:
            key, wrapped = self.keys.data_key(found.record, context)
        else:
            wrapped = self.keys.encrypt(found.record, key, context)
        shown = found.record.id if self._compat.plain_key_ids else arn
        return Sealing(Encryption(asked.algorithm, shown, wrapped, json.dumps(context), asked.bucket_key), key)

    def _context(self, text: str, bucket: Bucket, key: bytes) -> dict[str, str]:
        """The encryption context: the client's, and the ARN of the object or, with bucket keys, of the bucket."""
        context = {"aws:s3:arn": bucket_arn(bucket.record.name, text_of(key))}
        if not text:
            return context
        try:
            given = json.loads(base64.b64decode(text, validate=True))
        except ValueError:
            given = None
        if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
            raise S3Error(
                "InvalidArgument",
                "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded "
                "UTF-8 string holding JSON which represents a string-string map",
            )
        if any(name in context and value != context[name] for name, value in given.items()):
            raise S3Error("InvalidArgument", "The encryption context has aws:s3:arn already")
        return {**given, **context}

    def _check_use(self, request: S3Request, action: str, arn: str, record: object, context: Mapping[str, str]) -> None:
        """Raises KmsAccessRefused unless the sender may do this with the key through S3, as the request comes."""
        caller, about = request.caller, self._about(request)
        keys = {name: values for name in OF_REQUESTS if (values := about.get(name)) is not None}
        keys |= {**caller.keys, "aws:viaawsservice": ("true",)}
        keys |= {f"kms:encryptioncontext:{name.lower()}": (value,) for name, value in context.items()}
        keys["kms:encryptioncontextkeys"] = tuple(context)
        check_use(caller, action, arn, record, keys, f"s3.{self._region}.amazonaws.com")  # type: ignore[arg-type]

    # ---- stored objects

    async def open(self, request: S3Request, encryption: Encryption | None, prefix: bytes = CUSTOMER) -> bytes | None:
        """The key of a stored object; None where it is not sealed. `prefix`: of the headers with the client's key.

        Raises S3Error.
        """
        customer = customer_key(request, prefix, opens=True)
        if encryption is None or encryption.algorithm != _CUSTOMER_ALGORITHM:
            if customer is not None:
                raise S3Error("InvalidRequest", "The encryption parameters are not applicable to this object.")
            return None if encryption is None else await self._open(request, encryption)
        if customer is None:
            raise S3Error(
                "InvalidRequest",
                "The object was stored using a form of Server Side Encryption. The correct "
                "parameters must be provided to retrieve the object.",
            )
        try:
            return unwrap(AESGCMSIV(customer.key), encryption.wrapped, PURPOSE)
        except NotUnwrapped:
            raise S3Error("WrongCustomerKey") from None

    async def open_upload(self, request: S3Request, encryption: Encryption | None) -> bytes | None:
        """As `open`, for a part of an upload, which has to be sent with what the upload was begun with."""
        customer = customer_key(request, CUSTOMER)
        is_customers = encryption is not None and encryption.algorithm == _CUSTOMER_ALGORITHM
        if (customer is not None) != is_customers:
            raise S3Error(
                "InvalidRequest",
                "The multipart upload initiate requested encryption. Subsequent part requests must include the "
                "appropriate encryption parameters.",
            )
        if encryption is None or customer is None:
            return None if encryption is None else await self._open(request, encryption)
        try:
            return unwrap(AESGCMSIV(customer.key), encryption.wrapped, PURPOSE)
        except NotUnwrapped:
            message = "The provided encryption parameters did not match the ones used originally."
            raise S3Error("InvalidRequest", message) from None

    async def _open(self, request: S3Request, encryption: Encryption) -> bytes:
        if encryption.algorithm == "AES256":
            return self.open_quickly(encryption)
        context = json.loads(encryption.context)
        found = await self.keys.key_of(encryption.wrapped)
        if request.caller.is_anonymous:
            raise KmsAccessRefused("Requests that read objects encrypted with a KMS key have to be signed")
        self._check_use(request, "kms:Decrypt", self.keys.arn(found.record), found.record, context)
        return self.keys.decrypt(found.record, encryption.wrapped, context)

    def open_quickly(self, encryption: Encryption) -> bytes:
        """The key of an object that is sealed under the keyring. Raises UnknownMasterKey, NotUnwrapped or S3Error."""
        if self._keyring is None:
            raise S3Error("ServiceUnavailable", "The keyring with which this object was encrypted is not there")
        key = self._opened.get(encryption.wrapped)
        if key is None:
            key = self._keyring.unwrap(Wrapped(encryption.key_id, encryption.wrapped), PURPOSE)
            self._opened.put(encryption.wrapped, key)
        return key

    def check_customer(self, request: S3Request, encryption: Encryption | None) -> None:
        """What HEAD needs, which reads no bytes: the right key of the client where there is one. Raises S3Error."""
        customer = customer_key(request, CUSTOMER, opens=True)
        if encryption is None or encryption.algorithm != _CUSTOMER_ALGORITHM:
            if customer is not None:
                raise S3Error("InvalidRequest", "The encryption parameters are not applicable to this object.")
            return
        if customer is None:
            raise S3Error(
                "InvalidRequest",
                "The object was stored using a form of Server Side Encryption. The correct "
                "parameters must be provided to retrieve the object.",
            )
        if customer.md5 != encryption.key_id:
            raise S3Error("WrongCustomerKey")


def _policy_of_default(account: str) -> str:
    """AWS's own key of an account: whoever may use its buckets may use it, through S3 alone."""
    policy = json.loads(default_policy(account))
    through = {
        "Sid": "Allow access through S3 for all principals in the account",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
        "Resource": "*",
        "Condition": {"StringEquals": {"kms:CallerAccount": account}, "StringLike": {"kms:ViaService": "s3.*"}},
    }
    policy["Statement"].append(through)
    return json.dumps(policy)


def default_asked(default: DefaultEncryption | None) -> Asked | None:
    """What a bucket asks for of new objects."""
    if default is None:
        return None
    return Asked(default.algorithm, default.kms_key, "", default.bucket_key)


def asked_of(fields: Mapping[bytes, bytes], default: DefaultEncryption | None) -> Asked | None:
    """What the headers of a request ask for. Raises S3Error."""
    algorithm, kms_key = text_of(fields.get(SSE, b"")), text_of(fields.get(KMS_KEY_ID, b""))
    if SSE in fields and algorithm not in ("AES256", *KMS_ALGORITHMS):
        raise S3Error(
            "InvalidArgument",
            "The encryption method specified is not supported",
            (("ArgumentName", "x-amz-server-side-encryption"), ("ArgumentValue", algorithm)),
        )
    if kms_key and algorithm not in KMS_ALGORITHMS:
        raise S3Error(
            "InvalidArgument",
            "Server Side Encryption with AWS KMS managed key requires HTTP header "
            "x-amz-server-side-encryption : aws:kms",
            (("ArgumentName", "x-amz-server-side-encryption"),),
        )
    if not algorithm:
        return default_asked(default)
    if algorithm == "AES256":
        return Asked(algorithm)
    if default is not None and default.algorithm in KMS_ALGORITHMS and not kms_key:
        kms_key = default.kms_key
    bucket_key = fields.get(BUCKET_KEY)
    wants = default is not None and default.bucket_key if bucket_key is None else bucket_key.lower() == b"true"
    return Asked(algorithm, kms_key, text_of(fields.get(CONTEXT, b"")), wants)


def encryption_headers(encryption: Encryption | None) -> Headers:
    """The headers that tell how an object is encrypted."""
    if encryption is None:
        return []
    if encryption.algorithm == _CUSTOMER_ALGORITHM:
        return [(CUSTOMER + b"algorithm", b"AES256"), (CUSTOMER + b"key-MD5", encryption.key_id.encode())]
    if encryption.algorithm == "AES256":
        return [(SSE, b"AES256")]
    told = [(SSE, encryption.algorithm.encode()), (KMS_KEY_ID, encryption.key_id.encode())]
    return [*told, (BUCKET_KEY, b"true")] if encryption.bucket_key else told
