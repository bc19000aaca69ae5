"""Runs a WASM module on readings: no host function, no clock, no file, and so much fuel, memory and time.

How it works: the ABI, version 1
    A module imports nothing and exports
        memory                     one linear memory, 32-bit
        input (i32) -> i32         given a number of bytes, says where the host shall put them
        run   (i32) -> i64         given the same number, computes; returns address << 32 | length of the output
    What the host puts there is little-endian: u32 ABI version (1), i32 exponent, u32 count, u32 zero, then for each
    record of 24 bytes: i64 start (UTC seconds), i64 value (times ten to the exponent; 0 in a gap), u32 duration
    (seconds), u32 gap (1: no value). The output is at most `output_bytes` long and means what the parties agree on.
    wasmtime compiles and runs it: fuel counts instructions, a store's limits bound memory, tables and instances, and
    the epoch ends what still runs after TIME_SECONDS. NaNs are made canonical and threads are off, so the same input
    gives the same output on every machine.

What it does not do
    It is not needed for the reviewed operations: wasmtime is the extra `compute`. It does not say what a module
    does: whoever consents trusts its source, or its output's few bytes. Compiling takes time that fuel does not
    count: hence WASM_BYTES_MAX. Call `run_module` in a thread; it blocks.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ledger.errors import LocalError, MailleError, RemoteError
from node.compute.computation import ABI, Brought
from node.readings import Series

if TYPE_CHECKING:
    import wasmtime

WASM_BYTES_MAX: Final = 256 << 10
"""Bytes of a module."""
TIME_SECONDS: Final = 5
"""Longest run of a module, in seconds."""
TABLE_ELEMENTS_MAX: Final = 10_000
STACK_BYTES_MAX: Final = 256 << 10
RECORDS_MAX: Final = 1_000_000
"""Records handed to a module: 24 MB."""
_HEAD: Final = struct.Struct("<IiII")
_RECORD: Final = struct.Struct("<qqII")


def pack_readings(series: Series) -> bytes:
    """Return a series as the ABI has it. Raises LocalError TOO_MANY_RECORDS."""
    if len(series) > RECORDS_MAX:
        raise LocalError("TOO_MANY_RECORDS", f"a module is given at most {RECORDS_MAX} records", field="window")
    rows = zip(series.starts, series.mantissas, series.durations, series.gaps, strict=True)
    return _HEAD.pack(ABI, series.exponent, len(series), 0) + b"".join(_RECORD.pack(*row) for row in rows)


def check_module(wasm: bytes) -> None:
    """Refuse bytes that are no module of this ABI. Raises what `run_module` raises for these."""
    tools = _tools()
    _compiled(tools, _engine(tools), wasm)


def run_module(computation: Brought, wasm: bytes, data: bytes, *, seconds: float = TIME_SECONDS) -> bytes:
    """Run a module on packed readings and return its output.

    Raises LocalError COMPUTE_UNAVAILABLE (no wasmtime here) and RemoteError: OTHER_MODULE, MODULE_TOO_LARGE,
    MODULE_MALFORMED, MODULE_IMPORTS, MODULE_EXPORTS, MODULE_MEMORY, MODULE_FUEL, MODULE_TIME, MODULE_TRAP,
    MODULE_OUTPUT. Whatever the module does, nothing else happens.
    """
    if hashlib.sha256(wasm).digest() != computation.sha256:
        raise RemoteError("OTHER_MODULE", "this is not the module that the computation names", field="module")
    tools = _tools()
    engine = _engine(tools)
    module = _compiled(tools, engine, wasm)
    store = tools.Store(engine)
    store.set_limits(
        memory_size=computation.memory_bytes,
        table_elements=TABLE_ELEMENTS_MAX,
        instances=1,
        tables=1,
        memories=1,
    )
    store.set_fuel(computation.fuel)
    store.set_epoch_deadline(1)
    alarm = threading.Timer(seconds, engine.increment_epoch)
    alarm.daemon = True
    alarm.start()
    try:
        return _run(store, tools.Instance(store, module, []), computation, data)
    except MailleError:
        raise
    except tools.Trap as trap:
        raise _trapped(tools, trap) from None
    except (tools.WasmtimeError, IndexError, ValueError, OverflowError) as error:
        raise _failed(store, str(error)) from None
    finally:
        alarm.cancel()


def _tools() -> Any:
    try:
        import wasmtime as tools
    except ImportError:
        told = "modules need wasmtime, which is not installed: pip install 'maille[compute]'"
        raise LocalError("COMPUTE_UNAVAILABLE", told) from None
    return tools


def _engine(tools: Any) -> wasmtime.Engine:
    config = tools.Config()
    config.consume_fuel = True
    config.epoch_interruption = True
    config.wasm_threads = False
    config.wasm_memory64 = False
    config.wasm_multi_memory = False
    config.wasm_relaxed_simd = False
    config.cranelift_nan_canonicalization = True
    config.max_wasm_stack = STACK_BYTES_MAX
    engine: wasmtime.Engine = tools.Engine(config)
    return engine


def _compiled(tools: Any, engine: wasmtime.Engine, wasm: bytes) -> wasmtime.Module:
    """Compile a module, and hold it to the ABI."""
    if len(wasm) > WASM_BYTES_MAX:
        raise RemoteError("MODULE_TOO_LARGE", f"a module has at most {WASM_BYTES_MAX} bytes", field="module")
    if not wasm.startswith(b"\x00asm"):  # the engine would take the text form too, and components
        raise RemoteError("MODULE_MALFORMED", "this is no WASM module in binary form", field="module")
    try:
        module: wasmtime.Module = tools.Module(engine, bytes(wasm))
    except tools.WasmtimeError as error:
        raise RemoteError("MODULE_MALFORMED", f"this is no WASM module: {_short(error)}", field="module") from None
    if module.imports:
        raise RemoteError("MODULE_IMPORTS", "a module may import nothing from the host", field="module")
    exports: dict[str | None, Any] = {one.name: one.type for one in module.exports}
    wanted = {"input": (["i32"], ["i32"]), "run": (["i32"], ["i64"])}
    fits = isinstance(exports.get("memory"), tools.MemoryType)
    for name, (given, returned) in wanted.items():
        kind: Any = exports.get(name)
        fits = fits and isinstance(kind, tools.FuncType)
        fits = fits and [str(one) for one in kind.params] == given and [str(one) for one in kind.results] == returned
    if not fits:
        told = "a module exports memory, input (i32) -> i32 and run (i32) -> i64"
        raise RemoteError("MODULE_EXPORTS", told, field="module")
    return module


def _run(store: Any, instance: Any, computation: Brought, data: bytes) -> bytes:
    exports = instance.exports(store)
    memory = exports["memory"]
    address = exports["input"](store, len(data)) & 0xFFFF_FFFF
    if address + len(data) > memory.data_len(store):
        raise RemoteError("MODULE_MEMORY", "the module has no room for the readings where it says", field="module")
    memory.write(store, data, address)
    packed = exports["run"](store, len(data)) & 0xFFFF_FFFF_FFFF_FFFF
    start, size = packed >> 32, packed & 0xFFFF_FFFF
    if size > computation.output_bytes:
        told = f"the module's output has {size} bytes; it may have {computation.output_bytes}"
        raise RemoteError("MODULE_OUTPUT", told, field="module")
    if start + size > memory.data_len(store):
        raise RemoteError("MODULE_OUTPUT", "the module's output lies outside its memory", field="module")
    return bytes(memory.read(store, start, start + size))


def _trapped(tools: Any, trap: Any) -> RemoteError:
    code = None
    with suppress(ValueError, AttributeError):  # a code that this binding has no name for
        code = trap.trap_code
    if code is not None and code == getattr(tools.TrapCode, "INTERRUPT", None):
        return RemoteError("MODULE_TIME", f"the module ran longer than {TIME_SECONDS} seconds", field="module")
    if "fuel" in str(trap):
        return RemoteError("MODULE_FUEL", "the module used up its instructions", field="module")
    return RemoteError("MODULE_TRAP", f"the module stopped: {_short(trap)}", field="module")


def _failed(store: Any, message: str) -> RemoteError:
    if ("memory" in message or "table" in message) and (
        "exceed" in message or "limit" in message or "minimum" in message
    ):
        return RemoteError("MODULE_MEMORY", "the module asks for more memory than it may have", field="module")
    with suppress(Exception):
        if store.get_fuel() == 0:
            return RemoteError("MODULE_FUEL", "the module used up its instructions", field="module")
    return RemoteError("MODULE_TRAP", f"the module stopped: {_short(message)}", field="module")


def _short(error: object) -> str:
    """Return the first line of what the engine says; a module's own names are cut short."""
    text = str(error).strip().splitlines()
    return (text[-1] if len(text) > 1 else text[0] if text else "unknown").strip()[:200]
