/** What a plain client needs of a kubeconfig: where the server is and how to be its administrator. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly ca: string
  readonly cert?: string
  readonly key?: string
  readonly token?: string
}

interface Kubeconfig {
  readonly clusters: readonly {
    readonly cluster: { readonly server: string; readonly 'certificate-authority-data'?: string; readonly 'certificate-authority'?: string }
  }[]
  readonly users: readonly {
    readonly user: { readonly 'client-certificate-data'?: string; readonly 'client-key-data'?: string; readonly token?: string }
  }[]
}

const decoded = (base64: string): string => Buffer.from(base64, 'base64').toString()

/** The first cluster and user of the file. */
export const readEndpoint = (path: string): Endpoint => parseEndpoint(readFileSync(path, 'utf8'))

export function parseEndpoint(kubeconfig: string): Endpoint {
  const { clusters, users } = parse(kubeconfig) as Kubeconfig
  const { cluster } = clusters[0]!
  const { user } = users[0]!
  const url = new URL(cluster.server)
  const authority = cluster['certificate-authority-data']
  return {
    host: url.hostname,
    port: Number(url.port),
    ca: authority ? decoded(authority) : readFileSync(cluster['certificate-authority']!, 'utf8'),
    ...(user['client-certificate-data'] ? { cert: decoded(user['client-certificate-data']) } : {}),
    ...(user['client-key-data'] ? { key: decoded(user['client-key-data']) } : {}),
    ...(user.token ? { token: user.token } : {}),
  }
}
