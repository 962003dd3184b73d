/**
 * The audit log's file: a line an event, in order. A file that has grown to its limit is put aside under its time, and what
 * was put aside goes when it is too old or too much (as upstream's log backend, which rotates by lumberjack). Mode 0600.
 */
import { open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { createReadStream, createWriteStream } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Clock } from '../../base/clock.ts'
import { legacyLine } from '../audit/legacy-format.ts'
import type { WriteEvents } from '../audit/sinks.ts'

export interface AuditLogFile {
  /** "-" is standard output. */
  readonly path: string
  /** Default json. */
  readonly format?: 'json' | 'legacy'
  /** Default 100. */
  readonly maxSizeMegabytes?: number
  /** Put aside; 0 or absent: all are kept. */
  readonly maxBackups?: number
  readonly maxAgeDays?: number
  readonly isCompressed?: boolean
}

export interface AuditLog {
  readonly write: WriteEvents
  close(): Promise<void>
}

const MEGABYTE = 1024 * 1024
const DAY_MS = 86_400_000

export function createAuditLog(clock: Clock, options: AuditLogFile): AuditLog {
  return new RotatingLog(clock, options)
}

class RotatingLog implements AuditLog {
  readonly #clock: Clock
  readonly #options: AuditLogFile
  #file: FileHandle | undefined
  #size = 0
  /** Writes follow one another. */
  #last: Promise<void> = Promise.resolve()

  constructor(clock: Clock, options: AuditLogFile) {
    this.#clock = clock
    this.#options = options
  }

  readonly write: WriteEvents = (events) => {
    const text = events.map((event) => `${this.#options.format === 'legacy' ? legacyLine(event) : JSON.stringify(event)}\n`).join('')
    const written = this.#last.then(() => this.#append(Buffer.from(text)))
    // Who follows does not fail because this one did.
    this.#last = written.catch(() => undefined)
    return written
  }

  async #append(bytes: Buffer): Promise<void> {
    const { path, maxSizeMegabytes = 100 } = this.#options
    if (path === '-') {
      await new Promise<void>((resolve, reject) => process.stdout.write(bytes, (error) => (error ? reject(error) : resolve())))
      return
    }
    this.#file ??= await this.#open()
    if (this.#size > 0 && this.#size + bytes.length > maxSizeMegabytes * MEGABYTE) {
      await this.#rotate()
      this.#file = await this.#open()
    }
    await this.#file.writeFile(bytes)
    this.#size += bytes.length
  }

  async #open(): Promise<FileHandle> {
    const file = await open(this.#options.path, 'a', 0o600)
    this.#size = (await file.stat()).size
    return file
  }

  async #rotate(): Promise<void> {
    const { path, isCompressed } = this.#options
    await this.#file?.close()
    this.#file = undefined
    const at = new Date(this.#clock.now()).toISOString().replaceAll(':', '-').replace('Z', '')
    const { stem, extension } = this.#parts()
    const aside = await free(join(dirname(path), `${stem}-${at}`), extension)
    await rename(path, aside)
    if (isCompressed) {
      await pipeline(createReadStream(aside), createGzip(), createWriteStream(`${aside}.gz`, { mode: 0o600 }))
      await rm(aside)
    }
    await this.#forget()
  }

  #parts(): { readonly stem: string; readonly extension: string } {
    const extension = extname(this.#options.path)
    return { stem: basename(this.#options.path, extension), extension }
  }

  /** Drops what was put aside beyond the number or the age. */
  async #forget(): Promise<void> {
    const { path, maxBackups = 0, maxAgeDays = 0 } = this.#options
    const { stem, extension } = this.#parts()
    const folder = dirname(path)
    const isBackup = (name: string) =>
      name.startsWith(`${stem}-`) && (name.endsWith(extension) || name.endsWith(`${extension}.gz`)) && /-\d{4}-\d\d-\d\dT/.test(name)
    const backups = (await readdir(folder)).filter(isBackup).toSorted().toReversed()
    for (const [index, name] of backups.entries()) {
      const file = join(folder, name)
      const isTooMany = maxBackups > 0 && index >= maxBackups
      const isTooOld = maxAgeDays > 0 && this.#clock.now() - (await stat(file)).mtimeMs > maxAgeDays * DAY_MS
      if (isTooMany || isTooOld) await rm(file, { force: true })
    }
  }

  async close(): Promise<void> {
    await this.#last
    await this.#file?.close()
    this.#file = undefined
  }
}

/** A name that no file has: two rotations may fall into one millisecond. */
async function free(stem: string, extension: string): Promise<string> {
  const taken = new Set(await readdir(dirname(stem)))
  for (let i = 0; ; i++) {
    const name = i === 0 ? `${stem}${extension}` : `${stem}-${i}${extension}`
    if (!taken.has(basename(name)) && !taken.has(`${basename(name)}.gz`)) return name
  }
}
