/** A road from outside to a cluster of the library: HTTPS on loopback with keys that live as long as the cluster. */
import { createKubeconfig, formatKubeconfig } from '../client/http/index.ts'
import type { Runtime } from '../base/runtime.ts'
import type { ApiServer } from '../server/api-server.ts'
import type { TokenSigner } from '../server/authentication/tokens.ts'
import { createHttpsServer } from '../server/http/server.ts'
import { createTokenSigner } from '../server/http/tokens.ts'
import { until, type Lifecycle } from './lifecycle.ts'
import type { KeyPair } from './certificates.ts'
import { newServiceAccountKey, serverHosts, temporaryPki } from './pki.ts'
import { SERVICE_ACCOUNT_ISSUER } from './defaults.ts'

export interface TemporaryServer {
  readonly kubeconfig: string
}

export const temporaryTokenSigner = (): TokenSigner =>
  createTokenSigner({ issuer: SERVICE_ACCOUNT_ISSUER, privateKey: newServiceAccountKey() })

export async function serveTemporarily(
  runtime: Runtime,
  lifecycle: Lifecycle,
  api: ApiServer,
  authority: () => Promise<KeyPair>,
): Promise<TemporaryServer> {
  const pki = await temporaryPki(runtime.clock, serverHosts([]), await authority())
  const server = await createHttpsServer(runtime, api, { port: 0, ...pki.server, clientCa: pki.authority.cert })
  lifecycle.start({ name: 'HTTPS server', run: (signal) => until(signal, () => server.close()) })
  const { cert, key } = pki.admin
  return {
    kubeconfig: formatKubeconfig(
      createKubeconfig({ name: 'proa', server: `https://127.0.0.1:${server.port}`, ca: pki.authority.cert, cert, key }),
    ),
  }
}
