import { resolve } from 'node:path'
import { silentLog } from '../base/log.ts'
import type { Runtime } from '../base/runtime.ts'
import { systemClock, systemRandom } from '../base/system.ts'
import { dataDirectory } from '../cluster/data-directory.ts'
import { readEtcdSetup } from '../cluster/etcd.ts'
import { migrateStore, restoreSnapshot, saveSnapshot } from '../cluster/snapshot.ts'
import { UserError } from '../cluster/user-error.ts'
import { createProgress } from './progress.ts'
import { apiServerSettings, dataRootOf, type UpFlags } from './up.ts'

interface Place {
  readonly name: string
  readonly dataDir?: string
}

const runtime: Runtime = { clock: systemClock, random: systemRandom, log: silentLog }

export async function save(file: string, flags: Place): Promise<void> {
  const progress = createProgress(0)
  const size = await saveSnapshot(runtime, dataDirectory(dataRootOf(flags)), resolve(file))
  progress.step(`cluster "${flags.name}" is saved in ${file} (${(size / 1e6).toFixed(1)} MB; it holds the cluster's keys)`)
}

export async function restore(file: string, flags: Place): Promise<void> {
  const progress = createProgress(0)
  const record = await restoreSnapshot(resolve(file), dataRootOf(flags), flags.name)
  progress.step(`cluster "${record.name}" is as it was; ./proa up --name ${record.name} starts it at port ${record.port}`)
}

export async function migrate(flags: UpFlags & { readonly to: 'etcd' | 'sqlite' }): Promise<void> {
  const progress = createProgress(0)
  const etcd = readEtcdSetup(apiServerSettings(flags))
  if ((flags.to === 'etcd') !== (etcd !== undefined)) throw new UserError('--to etcd needs --etcd-servers, --to sqlite takes none')
  const count = await migrateStore(runtime, dataDirectory(dataRootOf(flags)), etcd)
  progress.step(`${count} objects are in ${flags.to} now; ./proa up goes on with them`)
}
