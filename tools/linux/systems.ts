/** Linux guests that a saved stream and QEMU's own view of it are compared with. */

/** One guest: Debian's kernel, busybox and a script. */
export interface System {
  readonly name: string;
  /** The program, without `qemu-system-`. */
  readonly target: string;
  /** Debian's name of the architecture and the suite that has it. */
  readonly debian: string;
  readonly suite: string;
  /** A package that depends on the kernel's. */
  readonly kernel: string;
  /** Whether Debian's package of the kernel's symbols is used. */
  readonly symbols?: boolean;
  readonly machine: string;
  /** Kernel options besides `rdinit`. */
  readonly append: string;
  readonly cpus: number;
  /** How qevm names the tables. */
  readonly mode: RegExp;
  /**
   * QEMU judges rights, qevm does not: a register that is set so in QEMU where it refuses an address, by the register's
   * value, so that the CPU has another level of rights.
   */
  readonly rights?: { readonly register: string; readonly values: (old: bigint) => readonly bigint[] };
  /** Where the kernel's memory begins: addresses around it are tried too. */
  readonly near: readonly bigint[];
}

const x86 = {
  target: "x86_64",
  debian: "amd64",
  suite: "bookworm",
  kernel: "linux-image-amd64",
  symbols: true,
  append: "console=ttyS0",
  cpus: 4,
  near: [0xffff_8880_0000_0000n, 0xffff_ffff_8000_0000n],
};

/** EL1 without PAN (privileged access never). */
const aarch64Rights = { register: "cpsr", values: (old: bigint) => [(old & ~0x40_000fn) | 5n] };
/** User and supervisor mode. */
const riscvRights = { register: "priv", values: () => [0n, 1n] };
/** MSR.PR set: user mode. */
const ppcRights = { register: "msr", values: (old: bigint) => [old ^ 0x4000n] };

export const SYSTEMS: readonly System[] = [
  {
    ...x86,
    name: "x86_64",
    machine: "-machine pc -cpu qemu64 -m 512 -device vmcoreinfo",
    mode: /4 levels/u,
  },
  {
    ...x86,
    name: "x86_64-5-levels",
    machine: "-machine q35 -cpu max -m 512 -device vmcoreinfo",
    mode: /5 levels/u,
    near: [0xff11_0000_0000_0000n, 0xffff_ffff_8000_0000n],
  },
  {
    ...x86,
    name: "x86_64-6G",
    machine: "-machine q35 -cpu qemu64 -m 6144 -device vmcoreinfo",
    mode: /4 levels/u,
  },
  {
    name: "i386",
    target: "i386",
    debian: "i386",
    suite: "bookworm",
    kernel: "linux-image-686",
    machine: "-machine pc -cpu qemu32 -m 256",
    append: "console=ttyS0",
    cpus: 1,
    mode: /32 bits/u,
    near: [0xc000_0000n],
  },
  {
    name: "i386-pae",
    target: "i386",
    debian: "i386",
    suite: "bookworm",
    kernel: "linux-image-686-pae",
    machine: "-machine pc -cpu qemu32,+pae,+nx -m 256",
    append: "console=ttyS0",
    cpus: 2,
    mode: /PAE/u,
    near: [0xc000_0000n],
  },
  {
    name: "aarch64",
    target: "aarch64",
    debian: "arm64",
    suite: "bookworm",
    kernel: "linux-image-arm64",
    machine: "-machine virt -cpu cortex-a57 -m 512",
    append: "console=ttyAMA0",
    cpus: 2,
    mode: /aarch64/u,
    rights: aarch64Rights,
    near: [0xffff_0000_0000_0000n, 0xffff_8000_0000_0000n],
  },
  {
    name: "aarch64-max",
    target: "aarch64",
    debian: "arm64",
    suite: "bookworm",
    kernel: "linux-image-arm64",
    machine: "-machine virt,gic-version=3 -cpu max,pauth-impdef=on -m 512",
    append: "console=ttyAMA0",
    cpus: 2,
    mode: /aarch64/u,
    rights: aarch64Rights,
    near: [0xffff_0000_0000_0000n, 0xffff_8000_0000_0000n],
  },
  {
    name: "riscv64",
    target: "riscv64",
    debian: "riscv64",
    suite: "trixie",
    kernel: "linux-image-riscv64",
    machine: "-machine virt -m 512",
    append: "console=ttyS0",
    cpus: 2,
    mode: /Sv(?:48|57)/u,
    rights: riscvRights,
    near: [0xff60_0000_0000_0000n, 0xffff_ffff_8000_0000n],
  },
  {
    name: "riscv64-sv39",
    target: "riscv64",
    debian: "riscv64",
    suite: "trixie",
    kernel: "linux-image-riscv64",
    machine: "-machine virt -m 512",
    append: "console=ttyS0 no4lvl",
    cpus: 2,
    mode: /Sv39/u,
    rights: riscvRights,
    near: [0xffff_ffd6_0000_0000n, 0xffff_ffff_8000_0000n],
  },
  {
    name: "s390x",
    target: "s390x",
    debian: "s390x",
    suite: "bookworm",
    kernel: "linux-image-s390x",
    machine: "-machine s390-ccw-virtio -m 512",
    append: "console=ttysclp0",
    cpus: 2,
    mode: /s390/u,
    near: [0n],
  },
  {
    name: "ppc64",
    target: "ppc64",
    debian: "ppc64el",
    suite: "bookworm",
    kernel: "linux-image-powerpc64le",
    machine: "-machine pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off -cpu power9 -m 1024",
    append: "console=hvc0",
    cpus: 2,
    mode: /radix/u,
    rights: ppcRights,
    near: [0xc000_0000_0000_0000n, 0xc008_0000_0000_0000n],
  },
];
