"""Operations on wallets: the keys of people, kept by this node for them.

How it works
    A wallet's seed lies sealed in the vault of this node, whose operator could use it: each listing says so. Each
    consent has its own pair of keys, and its withdrawal slip works without the wallet.

    `words` shows the seed as 24 words, with which the person carries her wallet to another node (`import`).

What it does not do
    It forgets no wallet: who has written down its words may ask the operator to.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from node.naming import moment
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.vaults.wallets import AwayWallet, HostedWallet


class WalletArgs(Args, frozen=True):
    """Whose wallet."""

    name: Annotated[str, said("What the wallet is called on this node.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class WalletsArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class WalletRow(Result, frozen=True):
    """A wallet."""

    name: Annotated[str, said("What it is called here.")]
    custody: Annotated[str, said("Who holds its keys.")]
    created: Annotated[datetime, said("Since when.")]
    consents: Annotated[int, said("How many consents it has given.")]
    withdrawn: Annotated[int, said("How many of them it has withdrawn.")]


class WalletRows(Result, frozen=True):
    """The wallets kept here, and those that people took away."""

    wallets: Annotated[tuple[WalletRow, ...], said("Each wallet.")]


def _row(hosted: HostedWallet) -> WalletRow:
    from node.vaults.wallets import CUSTODY

    consents = hosted.wallet.consents
    withdrawn = sum(own.withdrawal_id is not None for own in consents)
    return WalletRow(hosted.name, CUSTODY, moment(hosted.created), len(consents), withdrawn)


def _away_row(gone: AwayWallet) -> WalletRow:
    from node.vaults.wallets import CUSTODY_AWAY

    withdrawn = sum(own.withdrawal_id is not None for own in gone.consents)
    return WalletRow(gone.name, CUSTODY_AWAY, moment(gone.created), len(gone.consents), withdrawn)


@operation("wallet", "create", permission="operate")
async def wallet_create(node: Node, args: WalletArgs) -> WalletRow:
    """Make a wallet that this node keeps for a person."""

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    return _row(await mesh.engine.act(lambda turn: flows.acts.create_wallet(turn, args.name)))


@operation("wallet", "list", permission="read")
async def wallet_list(node: Node, args: WalletsArgs) -> WalletRows:
    """List the wallets that this node keeps for people, and those whose keys they took away."""

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> list[WalletRow]:
        rows = [_row(hosted) for hosted in flows.wallets.listing(turn.vault)]
        return rows + [_away_row(gone) for gone in flows.wallets.all_away(turn.vault)]

    return WalletRows(tuple(await mesh.engine.read(look)))


class ImportWalletArgs(WalletArgs, frozen=True):
    """What the wallet is called, and its words."""

    seed: Annotated[str, said("The 24 words: a file, or the words themselves.", content=True)] = ""


class WalletWords(Result, frozen=True):
    """A wallet's seed, to write down."""

    words: Annotated[tuple[str, ...], said("24 words, in their order. Whoever has them has the wallet.")]


class WordsArgs(WalletArgs, frozen=True):
    """Which wallet, in which words."""

    lang: Annotated[Literal["en", "fr"], said("The language of the words.")] = "en"


@operation("wallet", "words", permission="admin")
async def wallet_words(node: Node, args: WordsArgs) -> WalletWords:
    """Show the 24 words of a wallet's seed, so that the person can carry her wallet away."""
    from node.seed_words import words_of_seed

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    language = {"en": "english", "fr": "french"}[args.lang]

    def look(turn: Turn) -> WalletWords:
        return WalletWords(tuple(words_of_seed(flows.wallets.get(turn.vault, args.name).wallet.seed, language).split()))

    return await mesh.engine.read(look)


@operation("wallet", "import", permission="operate")
async def wallet_import(node: Node, args: ImportWalletArgs) -> WalletRow:
    """Take in a wallet by its 24 words, with the consents that the ledger here shows it to have given."""
    from node.seed_words import seed_of_words

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    seed = seed_of_words(args.seed)
    return _row(await mesh.engine.act(lambda turn: flows.life.import_wallet(turn, args.name, seed)))
