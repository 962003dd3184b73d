/**
 * The database file: its schema, its pragmas, and what is said when it cannot be used.
 *
 * One table, `changes`, is a log: a row a change, in order, never updated. A row's id is `revision * 4096 + place in the commit`, so
 * that appending goes to the end of the tree and a revision's rows are found without an index. A deletion is a row without a value.
 * Rows carry a CRC-32 of key and value: SQLite finds damage in its own structure only, and a flipped bit in an object must not
 * come back as an object.
 */
import { chmodSync, closeSync, existsSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { MAX_CHANGES } from '../store.ts'

const FORMAT = 1

export const rowId = (revision: number, place: number): number => revision * MAX_CHANGES + place
export const revisionOf = (id: number): number => Math.floor(id / MAX_CHANGES)

export const checksum = (key: string, value: Uint8Array | undefined): number => {
  const ofKey = crc32(key)
  return value ? crc32(value, ofKey) : ofKey
}

/** The database exists but what it holds cannot be relied on. */
export class StoreDamaged extends Error {
  override readonly name = 'StoreDamaged'
  constructor(path: string, why: string, cause?: unknown) {
    super(
      `the database ${path} is damaged (${why}); nothing in it was changed. Put a backup in its place, or move the files ${path}* away to start with an empty cluster`,
      { cause },
    )
  }
}

/** Another process, or another store of this one, has the database open. */
export class StoreLocked extends Error {
  override readonly name = 'StoreLocked'
  constructor(path: string) {
    super(`the database ${path} is in use by another proa process; stop that one first, or choose another data directory`)
  }
}

const SCHEMA = `
  CREATE TABLE changes (id INTEGER PRIMARY KEY, key TEXT NOT NULL, created INTEGER NOT NULL, crc INTEGER NOT NULL, value BLOB) STRICT;
  CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO meta VALUES ('format', ${FORMAT}), ('compacted', 0);
`

/** Makes the file for its owner alone before SQLite does with the process's umask; SQLite gives its -wal and -shm the same mode. */
function createPrivate(path: string): void {
  if (existsSync(path)) chmodSync(path, 0o600)
  else closeSync(openSync(path, 'ax', 0o600))
}

/**
 * Holds the database for this process: an exclusive lock of SQLite's on a file beside it, which the kernel drops when the process
 * dies, however it dies. (A lock on the database itself would keep out our own worker threads.)
 */
export function lockDatabase(path: string): { release(): void } {
  const lockPath = `${path}-lock`
  createPrivate(lockPath)
  const lock = new DatabaseSync(lockPath, { timeout: 0 })
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    throw (error as { readonly errcode?: number }).errcode === 5 ? new StoreLocked(path) : error
  }
  return { release: () => lock.close() }
}

/** Opens a connection as every thread needs it. Checkpoints are never automatic: they would stall the commit that meets one. */
export function connect(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: 10_000 })
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0')
  return db
}

/** Opens the database, making it when it is not there. */
export function openDatabase(path: string): DatabaseSync {
  createPrivate(path)
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(path, { timeout: 10_000 })
    // Only before the first table: objects of two kilobytes fill pages of eight better than of four; compaction gives pages back.
    db.exec('PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL')
    const { n: tables } = db.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number }
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0')
    if (tables === 0) db.exec(`BEGIN; ${SCHEMA} COMMIT`)
    const format = readMeta(db, 'format')
    if (format !== FORMAT) throw new StoreDamaged(path, `its format is ${format}, this version of proa reads ${FORMAT}`)
    return db
  } catch (error) {
    db?.close()
    throw asDamage(path, error)
  }
}

export const readMeta = (db: DatabaseSync, name: string): number =>
  (db.prepare('SELECT value FROM meta WHERE name = ?').get(name) as { value: number } | undefined)?.value ?? NaN

/** SQLite's "this is not, or no longer, a database of that shape" (ERROR, CORRUPT, NOTADB) in words that help; anything else as it is. */
export function asDamage(path: string, error: unknown): unknown {
  const { errcode, message } = error as { readonly errcode?: number; readonly message: string }
  return errcode !== undefined && [1, 11, 26].includes(errcode & 0xff) ? new StoreDamaged(path, message, error) : error
}
