"""The one list of reasons that a verification may give: shared by the verifier, its JSON, the documentation, the tests.

How it works
    Each code carries the verdict it leads to (ETSI EN 319 102-1), what it means and what to do. Codes are never renamed
    or reused. `table` prints the list as it stands in proofs/README.md, and `maille proof explain` shows one.

What it does not do
    It decides nothing.
"""

from __future__ import annotations

from enum import Enum


class Indication(Enum):
    """The verdicts of ETSI EN 319 102-1."""

    PASSED = "TOTAL-PASSED"
    FAILED = "TOTAL-FAILED"
    INDETERMINATE = "INDETERMINATE"

    @property
    def exit_code(self) -> int:
        """0 TOTAL-PASSED, 1 TOTAL-FAILED, 3 INDETERMINATE (2 is left to wrong usage)."""
        return {"TOTAL-PASSED": 0, "TOTAL-FAILED": 1, "INDETERMINATE": 3}[self.value]


_P, _F, _I = Indication.PASSED, Indication.FAILED, Indication.INDETERMINATE


class Reason(Enum):
    """A stable code; its value is (verdict, what it means, what to do)."""

    ACTIVE = (_P, "The consent was active at the time asked for and is not withdrawn.", "There is nothing to do.")
    WITHDRAWN_LATER = (
        _P,
        "The consent was active at the time asked for, and was withdrawn or revoked after it.",
        "Treat it as ended from the withdrawal on.",
    )
    SHOWN = (
        _P,
        "What the bundle says of the conduct, or of the period, is borne out by its evidence.",
        "Read the rows: the verdict is about the evidence, the findings are about the member.",
    )
    MALFORMED = (_F, "The bytes are not a proof bundle, or one of its items is not well formed.", "Ask for it again.")
    WRONG_MESH = (
        _F,
        "The bundle, or an item of it, belongs to another mesh than the pinned genesis.",
        "Compare the genesis hash with the mesh's operators by another channel.",
    )
    BAD_SIGNATURE = (_F, "A signature does not match what it signs.", "Refuse the bundle; ask its maker for another.")
    BAD_INCLUSION = (_F, "An entry is not under the checkpoint that is said to hold it.", "Refuse the bundle.")
    BAD_STATE_PROOF = (_F, "The frontier, a map or an attestation does not fit the others.", "Refuse the bundle.")
    BAD_EPOCH = (
        _F,
        "A step of the epoch chain is not certified by the voters of the one before.",
        "Refuse the bundle; compare the newest epoch with the mesh's operators by another channel.",
    )
    UNREFERENCED_ITEM = (_F, "An item serves no check.", "Refuse the bundle: nothing unchecked may travel in it.")
    DISCLOSURE_MISMATCH = (
        _F,
        "A disclosed value, account or document is not the one that was signed.",
        "Refuse it, and ask the person, the holder or the recipient for the true one.",
    )
    TRANSFER_MISMATCH = (
        _F,
        "A receipt or an acknowledgement is not of this transfer, under this consent, by the party it names.",
        "Refuse the bundle; ask holder and recipient for their own.",
    )
    REVOKED = (_F, "The consent was withdrawn or revoked before the time asked for.", "Stop using the data.")
    EXPIRED = (_F, "The time asked for is not before the end of the consent.", "Ask the person for a new consent.")
    NOT_ACTIVE = (_F, "The consent had no effect at the time asked for.", "Ask for the missing signatures, or wait.")
    NOT_MEMBER = (_F, "The holder or the recipient was not a member at the time asked for.", "Stop the transfer.")
    AGAINST_POLICY = (_F, "The mesh's policy forbids such a consent.", "Ask the person for another one.")
    BEYOND_CONSENT = (
        _F,
        "Data were sent for a time that the consent does not cover.",
        "Have the recipient delete what lies outside, and ask the holder how it left.",
    )
    WRONG_AUDIENCE = (
        _F,
        "The bundle was presented to somebody else, or with another nonce than yours.",
        "Ask its presenter to sign it for you.",
    )
    DELEGATION_NOT_YOURS = (
        _F,
        "The consent, or a delegation above it, was signed by another key than the one delegated to.",
        "Ask the person; treat the consent as not given.",
    )
    DELEGATION_TOO_DEEP = (
        _F,
        "More delegations follow upon a delegation than it allows.",
        "Ask the person for a consent of her own, or for a shorter chain.",
    )
    DELEGATION_WIDER = (
        _F,
        "The consent, or a delegation above it, goes beyond what was delegated.",
        "Treat what goes beyond as not consented to; ask the person.",
    )
    DELEGATION_EXPIRED = (
        _F,
        "A delegation ends before what rests on it.",
        "Ask the person for a new delegation, and the delegate for a new consent.",
    )
    DELEGATION_REVOKED = (
        _F,
        "A delegation that the consent rests on was revoked before the time asked for.",
        "Stop using the data.",
    )
    PARENT_OTHER = (
        _F,
        "The consent passes on data that its holder did not receive under the consent it names, or by another's word.",
        "Ask the holder under which consent it has the data.",
    )
    SHARING_FORBIDDEN = (
        _F,
        "The consent that this one passes on does not allow it to be passed on so.",
        "Stop the transfer, and have the recipient delete what it received.",
    )
    PARENT_WIDER = (
        _F,
        "The consent goes beyond the one that it passes on.",
        "Treat what goes beyond as not consented to; ask the person.",
    )
    CALL_OTHER = (
        _F,
        "A group's delegation was used without a call of that very group.",
        "Ask the group under which of its calls the consent was given.",
    )
    CALL_WIDER = (
        _F,
        "The consent goes beyond the call of the group.",
        "Treat what goes beyond as not consented to; ask the group.",
    )
    CALL_OPEN = (_F, "The group had not decided yet at the time asked for.", "Wait until the call has closed.")
    QUORUM_SHORT = (_F, "Too few of the group took part in the vote.", "Treat the call as not passed.")
    MAJORITY_SHORT = (_F, "Too few of those who voted agreed.", "Treat the call as not passed.")
    CRITICAL_MASS_SHORT = (_F, "The group was too small to decide.", "Treat the call as not passed.")
    CALL_REFUSED = (
        _F,
        "The person refused for herself, whatever the group decided.",
        "Stop using her data: one person's refusal always wins.",
    )
    NOTHING_LEFT = (
        _F,
        "The consent was narrowed until nothing was left of it.",
        "Treat it as ended, or ask the person for a new consent.",
    )
    INSUFFICIENT_WITNESSES = (
        _I,
        "Too few of the witnesses that you trust attested this state.",
        "Have more members attest (maille tick run), or ask for a bundle with their attestations.",
    )
    EPOCH_NOT_PINNED = (
        _I,
        "The epoch chain does not begin at the genesis, nor at or through the epoch that you pinned.",
        "Compare the epoch's hash with the mesh's operators and pin it, or ask for a chain from the genesis.",
    )
    NO_POE = (
        _I,
        "Nothing proves that the consent existed at the time asked for.",
        "Ask for a bundle with a tick at or before that time, and a policy with at least one witness.",
    )
    TRY_LATER = (
        _I,
        "The newest tick is older than the age you allow, so nothing is shown of the time since.",
        "Ask for a bundle with a newer tick (maille tick run).",
    )
    OUT_OF_BOUNDS = (
        _I,
        "No tick of the bundle lies close enough before the time asked for.",
        "Ask for a bundle with a tick nearer to that time, or allow a greater age.",
    )
    CONCURRENT_WITHDRAWAL = (
        _I,
        "The consent was withdrawn or revoked, and it cannot be shown to be after the time asked for.",
        "Treat the consent as ended unless other evidence orders the two.",
    )
    CONTENT_ERASED = (
        _I,
        "What was consented to has been erased; signature and status still stand.",
        "Ask those who may lawfully still hold the disclosures.",
    )
    CONTENT_WITHHELD = (
        _I,
        "The purpose or the kind of data, or the account of a transfer, is not disclosed.",
        "Ask for a bundle that discloses at least purpose and pii_type, and opens the holder's account.",
    )
    NOT_CARRIED = (
        _I,
        "An entry that the consent rests on, or that signs or narrows it, is not carried.",
        "Ask the maker for a bundle with it: maille proof make at a node that holds it.",
    )
    DELEGATION_HIDDEN = (
        _I,
        "The bounds of a delegation, or the fields that they bound, are not disclosed.",
        "Ask for a bundle that opens the delegation, and the fields that it bounds.",
    )
    DELEGATION_UNPROVEN = (
        _I,
        "The evidence of a guardian's or carer's authority was not checked by the holder, or not found good.",
        "Ask the holder whether it has checked the judgment or the deed.",
    )
    DELEGATION_NOT_SHOWN = (
        _I,
        "No tick at or before the time asked for shows the delegation.",
        "Ask for a bundle with a tick nearer to that time.",
    )
    PARENT_HIDDEN = (
        _I,
        "The content of the consent that this one passes on, or its own, is not disclosed, so they are not compared.",
        "Ask for a bundle that discloses both.",
    )
    CALL_HIDDEN = (
        _I,
        "The terms of the group's call, or those of the consent, are not disclosed, so they are not compared.",
        "Ask for a bundle that discloses both.",
    )
    CALL_NOT_SHOWN = (
        _I,
        "No tick between the close of the call and the time asked for shows what it came to, and who refused.",
        "Ask for a bundle with a tick after the call's close.",
    )
    AMENDMENT_HIDDEN = (
        _I,
        "An amendment narrows the consent, and what it leaves is not disclosed.",
        "Ask for a bundle that opens the amendment in the fields that it discloses of the consent.",
    )
    NO_PAPER = (
        _I,
        "The consent is said to be transcribed from a signed paper, and names none.",
        "Ask the holder for the signed paper, and for a consent that names its hash.",
    )
    NOT_ACKNOWLEDGED = (
        _I,
        "The recipient's acknowledgement of a transfer is not carried.",
        "Ask the recipient whether the data arrived, and for its acknowledgement.",
    )
    ACCOUNTS_DIFFER = (
        _I,
        "Holder and recipient do not give the same account of a transfer.",
        "Ask both for the packs: the chain shows which account is true.",
    )
    MEMBERSHIP_NOT_SHOWN = (
        _I,
        "A party is a tenant or a class of recipients, whose standing this bundle cannot show.",
        "Ask for evidence of who hosted the tenant.",
    )
    NOT_PRESENTED = (
        _I,
        "You asked for a bundle that is signed for you, and this one is signed for nobody.",
        "Ask its presenter to sign it for your audience and nonce.",
    )
    TIME_IN_FUTURE = (_I, "A time in the bundle lies ahead of your clock.", "Check your clock, then verify again.")
    UNSUPPORTED = (_I, "The bundle rests on an entry that this version cannot judge.", "Use a newer verifier.")

    @property
    def indication(self) -> Indication:
        """The verdict that it leads to."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """What it means, in a sentence."""
        return self.value[1]

    @property
    def advice(self) -> str:
        """What to do, in a sentence."""
        return self.value[2]


def table() -> str:
    """Return the list as a table in Markdown, as it stands in README.md."""
    rows = ["| code | verdict | what it means | what to do |", "|---|---|---|---|"]
    rows += [f"| {r.name} | {r.indication.value} | {r.meaning} | {r.advice} |" for r in Reason]
    return "\n".join(rows) + "\n"
