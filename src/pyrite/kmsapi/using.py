"""Owns the actions of the KMS API that use keys: encrypt, decrypt, and make keys for data."""

import base64

from pyrite.kms.errors import InvalidKmsInput
from pyrite.kms.keys import PLAINTEXT_MAX_BYTES
from pyrite.kmsapi.call import Call, Handler, Result

_CIPHERTEXT_MAX_BYTES = 6144
_SPECS = {"AES_256": 32, "AES_128": 16}


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


async def encrypt(call: Call) -> Result:
    context = call.context()
    record = (await call.keys.find(call.account, call.text("KeyId"))).record
    call.check(record, "Encrypt", context)
    blob = call.keys.encrypt(record, call.blob("Plaintext", PLAINTEXT_MAX_BYTES), context)
    return {
        "CiphertextBlob": _encoded(blob),
        "KeyId": call.keys.arn(record),
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }


async def decrypt(call: Call) -> Result:
    context, blob = call.context(), call.blob("CiphertextBlob", _CIPHERTEXT_MAX_BYTES)
    found = await call.keys.key_of(blob)
    if call.params.get("KeyId"):
        found = await call.keys.find(call.account, call.text("KeyId"))
    call.check(found.record, "Decrypt", context)
    plain = call.keys.decrypt(found.record, blob, context)
    return {
        "Plaintext": _encoded(plain),
        "KeyId": call.keys.arn(found.record),
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }


async def re_encrypt(call: Call) -> Result:
    blob = call.blob("CiphertextBlob", _CIPHERTEXT_MAX_BYTES)
    before, after = call.context("SourceEncryptionContext"), call.context("DestinationEncryptionContext")
    source = (await call.keys.key_of(blob)).record
    call.check(source, "ReEncryptFrom", before)
    target = (await call.keys.find(call.account, call.text("DestinationKeyId"))).record
    call.check(target, "ReEncryptTo", after)
    again = call.keys.encrypt(target, call.keys.decrypt(source, blob, before), after)
    return {
        "CiphertextBlob": _encoded(again),
        "SourceKeyId": call.keys.arn(source),
        "KeyId": call.keys.arn(target),
        "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }


async def generate_data_key(call: Call) -> Result:
    context = call.context()
    record = (await call.keys.find(call.account, call.text("KeyId"))).record
    call.check(record, call.action, context)
    spec = call.text("KeySpec", "")
    if spec and (spec not in _SPECS or "NumberOfBytes" in call.params):
        raise InvalidKmsInput("KeySpec is AES_256 or AES_128, or NumberOfBytes is given instead")
    size = _SPECS[spec] if spec else call.number("NumberOfBytes", 0, 1, 1024)
    made = call.keys.data_key(record, context, size)
    shown = {"CiphertextBlob": _encoded(made.ciphertext), "KeyId": call.keys.arn(record)}
    return shown if call.action.endswith("WithoutPlaintext") else {"Plaintext": _encoded(made.plain), **shown}


HANDLERS: dict[str, Handler] = {
    "Decrypt": decrypt,
    "Encrypt": encrypt,
    "GenerateDataKey": generate_data_key,
    "GenerateDataKeyWithoutPlaintext": generate_data_key,
    "ReEncrypt": re_encrypt,
}
