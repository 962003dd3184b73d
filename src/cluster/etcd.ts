/** The flags that name an etcd, as kube-apiserver has them, and the store on it. */
import { readFileSync } from 'node:fs'
import type { Runtime } from '../base/runtime.ts'
import type { Store } from '../store/store.ts'
import type { ApiServerSettings } from './api-server-flags.ts'
import { UserError } from './user-error.ts'

/** Remembered with the cluster; files are read at each start. */
export interface EtcdSetup {
  readonly servers: readonly string[]
  readonly cafile?: string
  readonly certfile?: string
  readonly keyfile?: string
}

/** Where upstream keeps its objects, too. */
const PREFIX = '/registry/'
const FILES = ['cafile', 'certfile', 'keyfile'] as const

export function readEtcdSetup(settings: ApiServerSettings): EtcdSetup | undefined {
  const files = Object.fromEntries(FILES.flatMap((name) => (settings[`etcd-${name}`] ? [[name, settings[`etcd-${name}`]]] : [])))
  const servers = (settings['etcd-servers'] ?? '').split(',').filter(Boolean)
  for (const server of servers) {
    if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol)) {
      throw new UserError(`--etcd-servers: ${JSON.stringify(server)} is not a URL such as https://10.0.0.1:2379`)
    }
  }
  if (servers.length > 0) return { servers, ...files }
  if (Object.keys(files).length > 0) throw new UserError('--etcd-cafile, --etcd-certfile and --etcd-keyfile need --etcd-servers')
  return undefined
}

export async function openEtcd({ clock, log }: Runtime, { servers, cafile, certfile, keyfile }: EtcdSetup): Promise<Store> {
  const read = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path, 'utf8'))
  try {
    const [ca, cert, key] = [read(cafile), read(certfile), read(keyfile)]
    const { openEtcdStore } = await import('../store/etcd/store.ts')
    return await openEtcdStore({
      endpoints: servers,
      tls: { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) },
      prefix: PREFIX,
      clock,
      log: log.with({ component: 'etcd' }),
    })
  } catch (error) {
    throw new UserError(`the etcd at ${servers.join(', ')} cannot be used: ${error instanceof Error ? error.message : String(error)}`)
  }
}
