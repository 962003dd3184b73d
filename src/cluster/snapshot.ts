/**
 * A whole cluster as one file, saved while it runs: its record, its keys and its state as of one revision, a tar that holds secrets
 * (0600). From it the cluster is made again, under another name too; both may then run. And a cluster's way from one store to another.
 */
import { createReadStream, createWriteStream, existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { backup, DatabaseSync } from 'node:sqlite'
import { extract, pack } from 'tar-stream'
import type { Runtime } from '../base/runtime.ts'
import { copyStore } from '../store/copy.ts'
import { openSqliteStore } from '../store/sqlite/store.ts'
import type { Store } from '../store/store.ts'
import {
  dataDirectory,
  ensureDataDirectory,
  newClusterId,
  readRecord,
  writeRecord,
  type ClusterRecord,
  type DataDirectory,
} from './data-directory.ts'
import { openEtcd, type EtcdSetup } from './etcd.ts'
import { holdFreePort, holdPort } from './machine.ts'
import { runningServer } from './process.ts'
import { UserError } from './user-error.ts'

const STATE = 'store.db'
const RECORD = 'cluster.json'
/** What a snapshot holds, and no other path. */
const MEMBERS = /^(cluster\.json|store\.db|pki\/[\w.-]+)$/

const recordIn = (directory: DataDirectory): ClusterRecord => {
  const record = readRecord(directory)
  if (!record) throw new UserError(`there is no cluster in ${directory.root}`)
  return record
}

/** Resolves with the file's size in bytes. */
export async function saveSnapshot(runtime: Runtime, directory: DataDirectory, file: string): Promise<number> {
  const record = recordIn(directory)
  if (record.store === 'memory') throw new UserError(`cluster "${record.name}" keeps its state in memory: there is nothing to save`)
  const scratch = mkdtempSync(join(dirname(file), '.proa-snapshot-'))
  try {
    const state = join(scratch, STATE)
    if (record.etcd) await saveEtcd(runtime, record.etcd, state)
    else await saveDatabase(directory.database, state)
    const whole = join(scratch, 'snapshot.tar')
    await writeArchive(whole, [
      [RECORD, directory.record],
      ...readdirSync(directory.pki).map((name) => [`pki/${name}`, join(directory.pki, name)] as const),
      [STATE, state],
    ])
    renameSync(whole, file)
    return statSync(file).size
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

/** SQLite copies the pages of one moment, whatever is written meanwhile. */
async function saveDatabase(database: string, to: string): Promise<void> {
  const db = new DatabaseSync(database, { readOnly: true, timeout: 10_000 })
  try {
    await backup(db, to)
  } finally {
    db.close()
  }
}

async function saveEtcd(runtime: Runtime, etcd: EtcdSetup, path: string): Promise<void> {
  const [from, to] = [await openEtcd(runtime, etcd), await openSqliteStore({ path })]
  try {
    await copyStore(from, to)
  } finally {
    await Promise.all([from.close(), to.close()])
  }
}

async function writeArchive(path: string, members: readonly (readonly [name: string, path: string])[]): Promise<void> {
  const archive = pack()
  const written = pipeline(archive, createWriteStream(path, { mode: 0o600, flags: 'wx' }))
  for (const [name, source] of members) {
    const { size } = statSync(source)
    const entry = archive.entry({ name, size, mode: 0o600 })
    await pipeline(createReadStream(source), entry)
  }
  archive.finalize()
  await written
}

/** Makes a cluster of a snapshot; `proa up` then starts it. Resolves with its record. */
export async function restoreSnapshot(file: string, root: string, name: string): Promise<ClusterRecord> {
  const directory = dataDirectory(root)
  if (existsSync(directory.record)) throw new UserError(`there is a cluster in ${root} already: another --name, or proa down --delete`)
  if (!existsSync(file)) throw new UserError(`there is no file ${file}`)
  ensureDataDirectory(directory)
  try {
    await readArchive(file, directory)
    const saved = recordIn(directory)
    const held = (await holdPort(saved.port)) ?? (await holdFreePort(saved.port))
    held.socket.close()
    const { etcd: _, ...rest } = saved
    const record: ClusterRecord = { ...rest, id: newClusterId(), name, port: held.port, store: 'sqlite' }
    writeRecord(directory, record)
    return record
  } catch (error) {
    rmSync(root, { recursive: true, force: true })
    throw error instanceof UserError ? error : new UserError(`${file} is no snapshot of a cluster: ${(error as Error).message}`)
  }
}

async function readArchive(file: string, directory: DataDirectory): Promise<void> {
  const archive = extract()
  const seen = new Set<string>()
  const read = pipeline(createReadStream(file), archive)
  // Whatever ends the loop early is told by it.
  read.catch(() => undefined)
  for await (const entry of archive) {
    const { name } = entry.header
    if (!MEMBERS.test(name) || seen.has(name)) throw new Error(`it holds ${JSON.stringify(name)}`)
    seen.add(name)
    const path = join(directory.root, name)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await pipeline(entry, createWriteStream(path, { mode: 0o600, flags: 'wx' }))
  }
  await read
  for (const member of [RECORD, STATE]) if (!seen.has(member)) throw new Error(`${member} is missing`)
}

/** Moves the state of a cluster that is down to an etcd, or to sqlite when none is named. The old store stays as it is. */
export async function migrateStore(runtime: Runtime, directory: DataDirectory, etcd: EtcdSetup | undefined): Promise<number> {
  const record = recordIn(directory)
  if (runningServer(directory) !== undefined) throw new UserError(`cluster "${record.name}" is up: proa down first`)
  if (record.store === (etcd ? 'etcd' : 'sqlite'))
    throw new UserError(`cluster "${record.name}" keeps its state in ${record.store} already`)
  if (record.store === 'memory') throw new UserError(`cluster "${record.name}" kept its state in memory: there is nothing to move`)
  if (!etcd && existsSync(directory.database)) {
    throw new UserError(`${directory.database} is there from before; move it away, or remove it`)
  }
  const open = (setup: EtcdSetup | undefined): Promise<Store> =>
    setup ? openEtcd(runtime, setup) : openSqliteStore({ path: directory.database })
  const from = await open(record.etcd)
  try {
    const to = await open(etcd)
    try {
      const taken = (await to.range('/registry/', { limit: 1 })).entries.length > 0
      if (taken) throw new UserError('the etcd holds a cluster already (keys below /registry/)')
      const count = await copyStore(from, to)
      const { etcd: _, ...rest } = record
      writeRecord(directory, { ...rest, store: etcd ? 'etcd' : 'sqlite', ...(etcd ? { etcd } : {}) })
      return count
    } finally {
      await to.close()
    }
  } finally {
    await from.close()
  }
}
