import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { dataDirectory, readRecord } from '../cluster/data-directory.ts'
import { runningServer } from '../cluster/process.ts'
import { loadImageArchive } from '../cluster/images.ts'
import { joinedFiles, readJoined } from '../cluster/join/joined-record.ts'
import { UserError } from '../cluster/user-error.ts'
import { dataRootOf } from './up.ts'

export async function loadImage(archive: string, flags: { readonly name: string; readonly dataDir?: string }): Promise<void> {
  const directory = dataDirectory(dataRootOf(flags))
  const record = readRecord(directory)
  const isJoined = record === undefined && readJoined(joinedFiles(directory.root)) !== undefined
  if (!isJoined && (!record || runningServer(directory) === undefined))
    throw new UserError(`cluster "${flags.name}" is not up: ./proa up --name ${flags.name} starts it`)
  if (record?.runtime === 'simulated') throw new UserError('simulated nodes run any image without having it; there is nothing to load')
  const path = resolve(archive)
  if (!existsSync(path)) throw new UserError(`there is no file ${path}`)
  for (const name of await loadImageArchive(directory, path)) process.stdout.write(`loaded ${name}\n`)
}
