"""An implementation of COSE that is not ours (python-cwt), behind one line of JSON in and one out.

How it works
    It runs in an environment of its own, since python-cwt pins an older cbor2, and imports nothing of this project.
    `{"verify": entry, "public": key, "kid": id}` is answered by `{"payload": bytes}` or `{"error": text}`;
    `{"sign": protected header, "payload": bytes, "seed": key, "public": key}` by `{"entry": bytes}`. Bytes travel as
    hex.

What it does not do
    It knows nothing of entries: a header is any CBOR map.
"""

import json
import sys

import cbor2
from cwt import COSE, COSEKey

ED25519 = -19


def answer(asked: dict[str, str]) -> dict[str, str]:
    """Verify or sign."""
    if "verify" in asked:
        key = COSEKey.new(
            {1: 1, 3: ED25519, -1: 6, 2: bytes.fromhex(asked["kid"]), -2: bytes.fromhex(asked["public"]), 4: [2]}
        )
        try:
            return {"payload": COSE.new().decode(bytes.fromhex(asked["verify"]), key).hex()}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
    header = cbor2.loads(bytes.fromhex(asked["sign"]))
    seed, public = bytes.fromhex(asked["seed"]), bytes.fromhex(asked["public"])
    key = COSEKey.new({1: 1, 3: ED25519, -1: 6, -2: public, -4: seed, 4: [1]})
    signed = COSE.new().encode(bytes.fromhex(asked["payload"]), key, protected=header, unprotected={})
    return {"entry": signed.hex()}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
