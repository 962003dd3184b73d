/**
 * The cluster's HTTPS side: the server on its port, and the administrator's kubeconfig. The keys on disk are followed while it runs: a
 * certificate that ends is renewed in time, and one that somebody has put there is shown to whoever connects next.
 */
import { chmodSync } from 'node:fs'
import { every } from '../base/clock.ts'
import { deepEqual } from '../base/deep-equal.ts'
import type { Runtime } from '../base/runtime.ts'
import { createKubeconfig, writeKubeconfig } from '../client/http/index.ts'
import type { ApiServer } from '../server/api-server.ts'
import { createHttpsServer } from '../server/http/server.ts'
import { until, type Lifecycle } from './lifecycle.ts'
import type { HeldPort } from './machine.ts'
import type { Pki } from './pki.ts'
import type { TlsSettings } from './tls-settings.ts'

export interface ServerKeys {
  readonly pki: Pki
  /** PEM of the authority whose clients are proxies. */
  readonly frontProxyCa: string
}

export interface ServeOptions {
  readonly name: string
  readonly port: HeldPort
  /** Where the administrator's kubeconfig is written. */
  readonly kubeconfig: string
  readonly keys: ServerKeys
  /** Of the flags. */
  readonly tls?: TlsSettings
  /** The keys as they are now, made anew where they end soon. */
  renew(): Promise<ServerKeys>
}

/** How often the keys are looked at, as upstream looks at its files. */
const FOLLOW_MS = 60_000

const httpsKeysOf = ({ pki, frontProxyCa }: ServerKeys, tls: TlsSettings | undefined) => ({
  ...pki.server,
  clientCa: pki.authority.cert,
  frontProxyCa,
  ...tls?.keys(),
})

export async function serve(runtime: Runtime, lifecycle: Lifecycle, api: ApiServer, options: ServeOptions): Promise<void> {
  const { tls } = options
  let keys = options.keys
  let shown = httpsKeysOf(keys, tls)
  const https = await createHttpsServer(runtime, api, { port: options.port.socket, ...shown, ...tls?.limits })
  lifecycle.start({ name: 'HTTPS server', run: (signal) => until(signal, () => https.close()) })
  writeAdministrator(options, keys)
  const look = async (): Promise<void> => {
    try {
      const next = await options.renew()
      const now = httpsKeysOf(next, tls)
      if (!deepEqual(now, shown)) {
        https.setKeys(now)
        shown = now
        runtime.log.info('the server shows another certificate from now on')
      }
      if (next.pki.admin.cert !== keys.pki.admin.cert) writeAdministrator(options, next)
      keys = next
    } catch (error) {
      runtime.log.error('the keys on disk cannot be used; those before stay', {
        error: error instanceof Error ? error.message : String(error),
      })
    }
  }
  lifecycle.start({ name: 'keys', run: (signal) => every(runtime.clock, FOLLOW_MS, signal, look) })
}

function writeAdministrator({ name, port, kubeconfig }: ServeOptions, { pki }: ServerKeys): void {
  const { cert, key } = pki.admin
  writeKubeconfig(kubeconfig, createKubeconfig({ name, server: `https://127.0.0.1:${port.port}`, ca: pki.authority.cert, cert, key }))
  chmodSync(kubeconfig, 0o600)
}
