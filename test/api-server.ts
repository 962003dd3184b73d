/** proa's API server in this process, over HTTPS and without controllers: whatever is stored was written by the test. */
import { silentLog, type Log } from '../src/base/log.ts'
import { systemClock, systemRandom } from '../src/base/system.ts'
import { startApiPlane, type ApiPlaneOptions } from '../src/cluster/api-plane.ts'
import { createAuthority } from '../src/cluster/certificates.ts'
import { createLifecycle } from '../src/cluster/lifecycle.ts'
import { serveTemporarily, temporaryTokenSigner } from '../src/cluster/temporary-server.ts'
import { createMemoryStore } from '../src/store/memory.ts'

export interface LoneServer {
  /** Of its administrator. */
  readonly kubeconfig: string
  stop(): Promise<void>
}

export async function startLoneServer(log: Log = silentLog, more: Pick<ApiPlaneOptions, 'housekeeping'> = {}): Promise<LoneServer> {
  const runtime = { clock: systemClock, random: systemRandom, log }
  const lifecycle = createLifecycle()
  const options = {
    store: createMemoryStore(),
    tokenSigner: temporaryTokenSigner(),
    serviceCidr: '10.96.0.0/16',
    debug: { flags: { profiling: 'true' }, setVerbosity: () => {} },
    ...more,
  }
  const api = await startApiPlane(runtime, lifecycle, options)
  const { kubeconfig } = await serveTemporarily(runtime, lifecycle, api.server, () => createAuthority(runtime.clock, 'kubernetes'))
  return { kubeconfig, stop: () => lifecycle.stop() }
}
