"""WASM modules as text: two that behave, and many that do not."""

from __future__ import annotations

from typing import Final

_HEAD: Final = '(module (memory (export "memory") 2) (func (export "input") (param i32) (result i32) i32.const 1024)'


def with_run(body: str, head: str = _HEAD) -> str:
    """Return a module whose `run` has this body; its parameter is $n, with three locals of 32 and one of 64 bits."""
    run = '(func (export "run") (param $n i32) (result i64) (local $i i32) (local $end i32) (local $x i64)'
    return f"{head} {run} {body}))"


COUNT: Final = with_run("(i32.store (i32.const 16) (i32.load (i32.const 1032))) (i64.const 0x1000000004)")
"""Gives the number of records: 4 bytes at address 16."""

PEAK: Final = with_run(
    """
    (local.set $i (i32.const 1040))
    (local.set $end (i32.add (i32.const 1024) (local.get $n)))
    (local.set $x (i64.const -9223372036854775808))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $end)))
      (if (i32.and (i32.eqz (i32.load (i32.add (local.get $i) (i32.const 20))))
                   (i64.gt_s (i64.load (i32.add (local.get $i) (i32.const 8))) (local.get $x)))
        (then (local.set $x (i64.load (i32.add (local.get $i) (i32.const 8))))))
      (local.set $i (i32.add (local.get $i) (i32.const 24)))
      (br $next)))
    (i64.store (i32.const 0) (local.get $x))
    (i64.const 8)
    """
)
"""Gives the highest value: 8 bytes at address 0."""

_NOTHING: Final = "(i64.const 0)"
_FOREVER: Final = "(loop $again (br $again)) (i64.const 0)"
_BOMB: Final = "(drop (memory.grow (i32.const 1))) (br $again)"
_IMPORTS: Final = '(module (import "env" "now" (func $now (result i64))) (memory (export "memory") 1)'
_INPUT: Final = '(func (export "input") (param i32) (result i32) i32.const 0)'
_START: Final = '(func $s (loop $again (br $again))) (start $s) (memory (export "memory") 1)'

HOSTILE: Final[dict[str, tuple[str, str]]] = {
    "an endless loop": (with_run(_FOREVER), "MODULE_FUEL"),
    "an endless loop at the start": (with_run(_NOTHING, f"(module {_START} {_INPUT}"), "MODULE_FUEL"),
    "a memory bomb": (with_run(f"(loop $again {_BOMB}) (i64.const 0)"), "MODULE_FUEL"),
    "too large a memory": (with_run(_NOTHING, f'(module (memory (export "memory") 60000) {_INPUT}'), "MODULE_MEMORY"),
    "no room for the input": (
        with_run(
            _NOTHING,
            '(module (memory (export "memory") 1) (func (export "input") (param i32) (result i32) i32.const -1)',
        ),
        "MODULE_MEMORY",
    ),
    "an import": (with_run(_NOTHING, f"{_IMPORTS} {_INPUT}"), "MODULE_IMPORTS"),
    "a trap": (with_run("unreachable"), "MODULE_TRAP"),
    "a division by zero": (with_run("(i64.div_s (i64.const 1) (i64.const 0))"), "MODULE_TRAP"),
    "a read outside": (with_run("(i64.load (i32.const -8))"), "MODULE_TRAP"),
    "a huge output": (with_run("(i64.const 0x00000000ffffffff)"), "MODULE_OUTPUT"),
    "an output that is a little too long": (with_run("(i64.const 65)"), "MODULE_OUTPUT"),
    "an output outside the memory": (with_run("(i64.const -4294967288)"), "MODULE_OUTPUT"),
    "no exports": ("(module)", "MODULE_EXPORTS"),
    "another signature": (
        f'(module (memory (export "memory") 1) {_INPUT} (func (export "run") (param i32) (result i32) i32.const 0))',
        "MODULE_EXPORTS",
    ),
    "a global named memory": (
        f'(module (global (export "memory") i32 (i32.const 0)) {_INPUT}'
        ' (func (export "run") (param i32) (result i64) i64.const 0))',
        "MODULE_EXPORTS",
    ),
    "a shared memory": (
        f'(module (memory (export "memory") 1 1 shared) {_INPUT}'
        ' (func (export "run") (param i32) (result i64) i64.const 0))',
        "MODULE_MALFORMED",
    ),
    "endless recursion": (
        f'(module (memory (export "memory") 1) {_INPUT} (func $r (export "run") (param i32) (result i64)'
        " (i64.add (i64.const 1) (call $r (local.get 0)))))",
        "MODULE_TRAP",
    ),
    "a huge table": (
        with_run(_NOTHING, f'(module (table 1000000 funcref) (memory (export "memory") 1) {_INPUT}'),
        "MODULE_MEMORY",
    ),
}
"""What it does -> the module, and the code with which it ends."""
