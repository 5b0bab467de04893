"""What M-profile instructions are to the pipeline, from their text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from edgekit.profiling.mcu import Instruction, Kind, Operation, words

_CONDITIONS = words("eq ne cs cc hs lo mi pl vs vc hi ls ge lt gt le al")
_KINDS: dict[str, Kind] = {
    name: kind
    for kind, names in {
        Kind.ALU: "mov mvn add addw adc sub subw sbc rsb neg and orr eor bic orn cmp cmn tst teq movw movt adr nop it"
        " itt ite ittt itte itet itee itttt ittte ittet ittee itett itete iteet iteee cpy csel csinc csinv csneg cset"
        " csetm cinc cinv cneg yield hint pld",
        Kind.SHIFT: "lsl lsr asr ror rrx sxtb sxth uxtb uxth sxtab sxtah uxtab uxtah ubfx sbfx bfi bfc rev rev16 revsh"
        " rbit clz pkhbt pkhtb lsll lsrl asrl uqshl sqshl urshr srshr uqshll sqshll urshrl srshrl uqrshl sqrshr uqrshll"
        " sqrshrl",
        Kind.DSP: "ssat usat ssat16 usat16 qadd qsub qdadd qdsub sel sxtb16 uxtb16 sxtab16 uxtab16 usad8 usada8"
        + "".join(
            f" {sign}{name}"
            for sign in ("s", "q", "sh", "u", "uq", "uh")
            for name in ("add8", "sub8", "add16", "sub16", "asx", "sax")
        ),
        Kind.MUL: "mul smulbb smulbt smultb smultt smulwb smulwt smmul smmulr",
        Kind.LONG_MUL: "smull umull",
        Kind.MAC: "mla mls smlabb smlabt smlatb smlatt smlawb smlawt smmla smmlar smmls smmlsr",
        Kind.LONG_MAC: "smlal umlal umaal smlalbb smlalbt smlaltb smlaltt",
        Kind.DUAL_MAC: "smlad smladx smlsd smlsdx smuad smuadx smusd smusdx smlald smlaldx smlsld smlsldx",
        Kind.DIV: "sdiv udiv",
        Kind.LOAD: "ldr ldrex ldrt",
        Kind.LOAD_NARROW: "ldrb ldrh ldrsb ldrsh ldrexb ldrexh ldrbt ldrht ldrsbt ldrsht",
        Kind.LOAD_DOUBLE: "ldrd",
        Kind.LOAD_MULTIPLE: "ldm ldmia ldmdb ldmfd pop vldm vldmia vldmdb vpop",
        Kind.STORE: "str strb strh strex strexb strexh strt strbt strht",
        Kind.STORE_DOUBLE: "strd",
        Kind.STORE_MULTIPLE: "stm stmia stmdb stmfd push vstm vstmia vstmdb vpush",
        Kind.BRANCH: "b cbz cbnz",
        Kind.CALL: "bl",
        Kind.INDIRECT: "bx blx",
        Kind.TABLE_BRANCH: "tbb tbh",
        Kind.LOOP_START: "dls wls dlstp wlstp",
        Kind.LOOP_END: "le letp",
        Kind.SYSTEM: "svc bkpt cps cpsie cpsid mrs msr isb dsb dmb wfi wfe sev csdb vmsr vmrs sg bxns blxns",
    }.items()
    for name in words(names)
}
_FP = {
    Kind.FP_MOVE: ("vmov", "vabs", "vneg", "vmovx", "vins"),
    Kind.FP_MAC: ("vmla", "vmls", "vnmla", "vnmls", "vfma", "vfms", "vfnma", "vfnms"),
    Kind.FP_MUL: ("vmul", "vnmul"),
    Kind.FP_DIV: ("vdiv", "vsqrt"),
    Kind.FP_ADD: ("vadd", "vsub", "vcmp", "vcmpe", "vcvt*", "vrint*", "vmaxnm", "vminnm", "vsel*", "vjcvt"),
}
_VECTOR = {  # a star stands for what follows; the first that fits counts
    Kind.VEC_LOAD: ("vldr?", "vld2*", "vld4*"),
    Kind.VEC_STORE: ("vstr?", "vst2*", "vst4*"),
    Kind.VEC_DOT: ("vmlav*", "vmladav*", "vmlsdav*", "vmlalv*", "vmlaldav*", "vmlsldav*", "vrmlalv*", "vrmlaldav*",
                   "vrmlsldav*"),
    Kind.VEC_SUM: ("vaddv*", "vaddlv*", "vmaxv*", "vminv*", "vmaxav*", "vminav*", "vmaxnmv", "vminnmv", "vabav*"),
    Kind.VEC_MAC: ("vmla", "vmlas", "vfma", "vfms", "vfmas", "vqdmla*", "vqrdmla*", "vqdmls*", "vqrdmls*", "vcmla"),
    Kind.VEC_MUL: ("vmul*", "vrmulh", "vqdmul*", "vqrdmul*", "vcmul"),
    Kind.VEC_MOVE: ("vdup",),
    Kind.VEC_PREDICATE: ("vpst*", "vpt*", "vpnot", "vctp", "vcmp"),
    Kind.VEC_SHIFT: ("vshl*", "vshr*", "vrshl*", "vrshr*", "vqshl*", "vqshr*", "vqrshl*", "vqrshr*", "vsli", "vsri",
                     "vmovl*", "vmovn*", "vqmov*", "vbrsr"),
    Kind.VEC_ALU: ("vmov", "vmvn", "vadd", "vsub", "vand", "vorr", "veor", "vbic", "vorn", "vrev*", "vmax*", "vmin*",
                   "vabs", "vneg", "vqabs", "vqneg", "vabd", "vhadd", "vhsub", "vrhadd", "vqadd", "vqsub", "vpsel",
                   "vidup", "vddup", "viwdup", "vdwdup", "vclz", "vcls", "vcvt*", "vrint*", "vcadd", "vhcadd", "vadc*",
                   "vsbc*"),
}  # fmt: skip
_NO_RESULT = words("cmp cmn tst teq nop vcmp vcmpe vctp pld")
_TWO_RESULTS = words("smull umull smlal umlal umaal smlald smlaldx smlsld smlsldx ldrd lsll lsrl asrl") | {
    f"smlal{x}{y}" for x in "bt" for y in "bt"
}
_UNARY = words(
    "mov mvn movw neg cpy adr sxtb sxth uxtb uxth sxtb16 uxtb16 rev rev16 revsh rbit clz vmov vmvn vmovlb vmovlt"
    " vabs vneg cset csetm rsb"
)
"""Of two operands, the first is only written."""
_IN_PLACE = words("bfi bfc movt vins vsli vsri")
_TWO_OPERANDS = (Kind.ALU, Kind.SHIFT, Kind.MUL, Kind.DSP, Kind.VEC_SHIFT)
_CORE = words("r0 r1 r2 r3 r4 r5 r6 r7 r8 r9 sb sl fp ip lr")
_REGISTER = re.compile(r"\b(r\d+|sb|sl|fp|ip|sp|lr|pc|[sdq]\d+)\b")
_ALIASES = {"r9": "sb", "r10": "sl", "r11": "fp", "r12": "ip", "r13": "sp", "r14": "lr", "r15": "pc"}
_RANGE = re.compile(r"\b([sdqr])(\d+)-[sdqr](\d+)")


def operation(instruction: Instruction) -> Operation:
    """Return what the pipeline must know of an instruction."""
    name = instruction.mnemonic.split(".")[0]
    operands = instruction.operands
    base, conditional = _base(name)
    if base is None and name.startswith("v"):
        kind = _vector_or_fp(name, operands)
    else:
        kind = _KINDS[base] if base else Kind.UNKNOWN
    if kind is Kind.UNKNOWN or base is None:
        base = name
    if kind in (Kind.LOAD_MULTIPLE, Kind.STORE_MULTIPLE):
        return _multiple(kind, base, operands, instruction.size)
    if kind in (Kind.BRANCH, Kind.CALL, Kind.INDIRECT, Kind.TABLE_BRANCH, Kind.LOOP_START, Kind.LOOP_END):
        return _jump(kind, base, operands, instruction.size, conditional)
    return _plain(kind, base, operands, instruction.size)


def _base(name: str) -> tuple[str | None, bool]:
    """The mnemonic without condition and flags, where a table knows it; True if a condition was there."""
    if name[:1] == "b" and name[1:] in _CONDITIONS:  # BLS is not BL
        return "b", True
    for short, conditional in (
        (name, False), *([(name[:-1], False)] if name.endswith("s") else []),
        *([(name[:-2], True), (name[:-2].removesuffix("s"), True)] if name[-2:] in _CONDITIONS else []),
    ):  # fmt: skip
        if short in _KINDS:
            return short, conditional
    return None, False


def _vector_or_fp(name: str, operands: tuple[str, ...]) -> Kind:
    vector = any(re.search(r"\bq\d", operand) for operand in operands) or name.startswith(("vpst", "vpt", "vctp"))
    if not vector and name.startswith(("vldr", "vstr")):
        return Kind.LOAD if name.startswith("vldr") else Kind.STORE
    table = _VECTOR if vector else _FP
    for short in (name, name[:-1] if name[-1] in "te" else name, name[:-2] if name[-2:] in _CONDITIONS else name):
        for kind, patterns in table.items():
            if any(_fits(short, pattern) for pattern in patterns):
                return _special(kind, short, operands)
    return Kind.UNKNOWN


def _fits(name: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    if pattern.endswith("?"):
        return len(name) == len(pattern) and name.startswith(pattern[:-1])
    return name == pattern


def _special(kind: Kind, name: str, operands: tuple[str, ...]) -> Kind:
    """Gathers, scatters, and moves between vectors and core registers."""
    scattered = any(re.search(r"\[[^]]*q\d", operand) or re.search(r"\[q\d", operand) for operand in operands)
    if scattered and kind in (Kind.VEC_LOAD, Kind.VEC_STORE):
        return Kind.VEC_GATHER if kind is Kind.VEC_LOAD else Kind.VEC_SCATTER
    if name == "vmov" and kind is Kind.VEC_ALU and any(operand in _CORE for operand in operands):
        return Kind.VEC_MOVE
    return kind


def _multiple(kind: Kind, base: str, operands: tuple[str, ...], size: int) -> Operation:
    implied = base in ("push", "pop", "vpush", "vpop")
    pointer = frozenset(_registers(["sp"] if implied else operands[:1]))
    listed = frozenset(_registers(operands if implied else operands[1:]))
    words = len(listed)
    back = pointer if implied or operands[0].endswith("!") else frozenset()
    if kind is Kind.STORE_MULTIPLE:
        return Operation(kind, size, listed | pointer, back, pointer, registers=words)
    return Operation(kind, size, pointer, listed | back, pointer, registers=words)


def _jump(kind: Kind, base: str, operands: tuple[str, ...], size: int, conditional: bool) -> Operation:
    reads = frozenset(_registers(operands))
    if kind is Kind.LOOP_START:
        return Operation(kind, size, reads - {"lr"}, frozenset({"lr"}), conditional=base.startswith("wls"))
    if kind is Kind.LOOP_END:
        return Operation(kind, size, reads, reads, conditional=True)
    linked = frozenset({"lr"} if base in ("bl", "blx") else ())
    return Operation(kind, size, reads - {"pc"}, linked, conditional=conditional or base in ("cbz", "cbnz"))


def _plain(kind: Kind, base: str, operands: tuple[str, ...], size: int) -> Operation:
    memory = next((place for place, operand in enumerate(operands) if operand.startswith("[")), None)
    results = 0 if base in _NO_RESULT else 2 if base in _TWO_RESULTS else 1
    if kind in (Kind.VEC_DOT, Kind.VEC_SUM) and base.startswith(("vmlal", "vmlsl", "vrml", "vaddlv")):
        results = 2
    elif base == "vmov" and len(operands) > 2:  # between one or two lanes and two core registers
        results = len(operands) - (1 if len(operands) == 3 else 2) if operands[0] in _CORE else 1
    if memory is not None:
        return _access(kind, operands, memory, size)
    written = _registers(operands[:results])
    read = list(_registers(operands[results:]))
    sums: list[str] = []
    if kind in (Kind.MAC, Kind.DUAL_MAC) and len(operands) == 4 and results == 1:
        sums = list(_registers(operands[3:]))
    elif _adds(kind, base, results):
        sums = list(written)
    elif base in _IN_PLACE or (len(operands) == 2 and results and base not in _UNARY and kind in _TWO_OPERANDS):
        read += written
    shifted: list[str] = []
    if kind is Kind.ALU and re.match(r"(lsl|lsr|asr|ror|rrx)\b", operands[-1] if operands else ""):
        kind = Kind.SHIFT
        shifted = list(_registers(operands[-2:-1]))
    elif kind is Kind.SHIFT:
        shifted = list(_registers(operands[1:2]))
    end = "pc" in written
    if end:
        kind = Kind.INDIRECT
    return Operation(
        kind, size, frozenset([*read, *sums]), frozenset(written) - {"pc"}, shifted=frozenset(shifted),
        sums=frozenset(sums),
    )  # fmt: skip


def _adds(kind: Kind, base: str, results: int) -> bool:
    """True if it adds to what its results hold; the letter A of VMLADAVA or VADDVA says so, VMAXV compares with it."""
    if kind in (Kind.VEC_DOT, Kind.VEC_SUM):
        added = r"v(mla|mlada|mlsda|mlal|mlalda|mlslda|rmlal|rmlalda|rmlslda|add|addl)va|vabav|vm(ax|in)a?v"
        return bool(re.match(added, base))
    return kind in (Kind.LONG_MAC, Kind.FP_MAC, Kind.VEC_MAC) or (kind is Kind.DUAL_MAC and results == 2)


def _access(kind: Kind, operands: tuple[str, ...], memory: int, size: int) -> Operation:
    data = frozenset(_registers(operands[:memory]))
    address = frozenset(_registers(operands[memory:])) - {"pc"}
    back = _pointer(operands, memory)
    inside = operands[memory].split(",")
    if kind in (Kind.STORE, Kind.STORE_DOUBLE, Kind.VEC_STORE, Kind.VEC_SCATTER):
        if kind is Kind.STORE and len(inside) > 1 and "#" not in inside[1]:
            kind = Kind.STORE_INDEXED
        return Operation(kind, size, data | address, back, address, stored=data)
    if "pc" in data:
        return Operation(Kind.INDIRECT, size, address, back | {"pc"}, address)
    return Operation(kind, size, address, data | back, address)


def _pointer(operands: tuple[str, ...], memory: int) -> frozenset[str]:
    """The register that the access moves on, where it does."""
    if operands[memory].endswith("!") or len(operands) > memory + 1:
        return frozenset(list(_registers([operands[memory].split(",")[0]])))
    return frozenset()


def _registers(operands: Iterable[str]) -> list[str]:
    """Names of registers; D and Q registers by the S registers that they consist of."""
    return [name for operand in operands for text in [_spread(operand)] for name in _names(text)]


def _spread(text: str) -> str:
    return _RANGE.sub(lambda m: ", ".join(f"{m[1]}{n}" for n in range(int(m[2]), int(m[3]) + 1)), text)


def _names(text: str) -> Iterator[str]:
    for name in _REGISTER.findall(text):
        if name[0] in "dq" and name[1:].isdigit():
            width = 2 if name[0] == "d" else 4
            yield from (f"s{int(name[1:]) * width + n}" for n in range(width))
        else:
            yield _ALIASES.get(name, name)
