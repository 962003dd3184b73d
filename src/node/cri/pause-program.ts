/**
 * The program that holds a pod's namespaces while its containers come and go (upstream: "pause"), as a static ELF file of some 230
 * bytes. It is written down in machine code, because proa must be able to make its image on a machine without a compiler or a
 * network, and because there is one process of it for every pod: a shell would take a megabyte each.
 *
 * In C it would be:
 *
 *   sigprocmask(SIG_BLOCK, {SIGTERM, SIGINT, SIGCHLD});          // blocked signals wait, even those that process 1 would ignore
 *   for (;;) {
 *     int signal = sigtimedwait({SIGTERM, SIGINT, SIGCHLD}, NULL, NULL);
 *     if (signal == SIGCHLD) while (waitpid(-1, NULL, WNOHANG) > 0);   // orphans of a shared process namespace
 *     else if (signal >= 0) exit(0);
 *   }
 */
export type PauseArchitecture = 'amd64' | 'arm64'

/** SIGINT (2), SIGTERM (15), SIGCHLD (17): bit n-1 each. */
const SIGNAL_MASK = '02 40 01 00 00 00 00 00'

const CODE: Readonly<Record<PauseArchitecture, string>> = {
  amd64: `
    b8 0e 00 00 00         mov eax, 14            rt_sigprocmask
    31 ff                  xor edi, edi           SIG_BLOCK
    48 8d 35 52 00 00 00   lea rsi, [rip+mask]
    31 d2                  xor edx, edx
    41 ba 08 00 00 00      mov r10d, 8            size of the mask
    0f 05                  syscall
    b8 80 00 00 00   wait: mov eax, 128           rt_sigtimedwait
    48 8d 3d 3c 00 00 00   lea rdi, [rip+mask]
    31 f6                  xor esi, esi           no siginfo
    31 d2                  xor edx, edx           no time limit
    41 ba 08 00 00 00      mov r10d, 8
    0f 05                  syscall
    83 f8 11               cmp eax, 17            SIGCHLD
    74 0d                  je reap
    85 c0                  test eax, eax
    78 df                  js wait                interrupted
    b8 3c 00 00 00         mov eax, 60            exit
    31 ff                  xor edi, edi
    0f 05                  syscall
    b8 3d 00 00 00   reap: mov eax, 61            wait4
    48 c7 c7 ff ff ff ff   mov rdi, -1            any child
    31 f6                  xor esi, esi
    ba 01 00 00 00         mov edx, 1             WNOHANG
    45 31 d2               xor r10d, r10d
    0f 05                  syscall
    85 c0                  test eax, eax
    7f e4                  jg reap
    eb b8                  jmp wait
    ${SIGNAL_MASK}   mask:`,
  arm64: `
    e8 10 80 d2            mov x8, 135            rt_sigprocmask
    00 00 80 d2            mov x0, 0              SIG_BLOCK
    41 03 00 10            adr x1, mask
    02 00 80 d2            mov x2, 0
    03 01 80 d2            mov x3, 8              size of the mask
    01 00 00 d4            svc 0
    28 11 80 d2      wait: mov x8, 137            rt_sigtimedwait
    a0 02 00 10            adr x0, mask
    01 00 80 d2            mov x1, 0              no siginfo
    02 00 80 d2            mov x2, 0              no time limit
    03 01 80 d2            mov x3, 8
    01 00 00 d4            svc 0
    1f 44 00 71            cmp w0, 17             SIGCHLD
    c0 00 00 54            b.eq reap
    1f 00 00 71            cmp w0, 0
    eb fe ff 54            b.lt wait              interrupted
    a8 0b 80 d2            mov x8, 93             exit
    00 00 80 d2            mov x0, 0
    01 00 00 d4            svc 0
    88 20 80 d2      reap: mov x8, 260            wait4
    00 00 80 92            mov x0, -1             any child
    01 00 80 d2            mov x1, 0
    22 00 80 d2            mov x2, 1              WNOHANG
    03 00 80 d2            mov x3, 0
    01 00 00 d4            svc 0
    1f 00 00 71            cmp w0, 0
    2c ff ff 54            b.gt reap
    eb ff ff 17            b wait
    ${SIGNAL_MASK}   mask:`,
}

const MACHINE: Readonly<Record<PauseArchitecture, number>> = { amd64: 62, arm64: 183 }
const FILE_HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56
const LOAD_ADDRESS = 0x400000n
/** The largest page of either architecture. */
const ALIGNMENT = 0x10000n

/** The executable: an ELF file header, one program header, the code. */
export function pauseProgram(architecture: PauseArchitecture): Buffer {
  const code = machineCode(CODE[architecture])
  const codeOffset = FILE_HEADER_BYTES + PROGRAM_HEADER_BYTES
  const size = BigInt(codeOffset + code.length)

  const file = Buffer.alloc(FILE_HEADER_BYTES)
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]) // "\x7fELF", 64 bits, little endian, version 1
  file.writeUInt16LE(2, 16) // an executable
  file.writeUInt16LE(MACHINE[architecture], 18)
  file.writeUInt32LE(1, 20)
  file.writeBigUInt64LE(LOAD_ADDRESS + BigInt(codeOffset), 24) // where it starts
  file.writeBigUInt64LE(BigInt(FILE_HEADER_BYTES), 32) // where the program header is
  file.writeUInt16LE(FILE_HEADER_BYTES, 52)
  file.writeUInt16LE(PROGRAM_HEADER_BYTES, 54)
  file.writeUInt16LE(1, 56) // one program header

  const program = Buffer.alloc(PROGRAM_HEADER_BYTES)
  program.writeUInt32LE(1, 0) // to be loaded
  program.writeUInt32LE(0b101, 4) // read and execute
  program.writeBigUInt64LE(LOAD_ADDRESS, 16)
  program.writeBigUInt64LE(LOAD_ADDRESS, 24)
  program.writeBigUInt64LE(size, 32)
  program.writeBigUInt64LE(size, 40)
  program.writeBigUInt64LE(ALIGNMENT, 48)
  return Buffer.concat([file, program, code])
}

/** The bytes at the start of each line. */
function machineCode(listing: string): Buffer {
  const bytes = listing
    .split('\n')
    .map((line) => /^(?:\s*[0-9a-f]{2}(?= ))+/.exec(line)?.[0] ?? '')
    .join(' ')
    .trim()
  return Buffer.from(bytes.split(/\s+/).map((byte) => Number.parseInt(byte, 16)))
}
