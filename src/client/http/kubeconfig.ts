/**
 * kubeconfig files: how clients find a cluster and prove who they are. Reads inline data and files, writes inline data only.
 * Files hold private keys and are written with mode 0600.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parse, stringify } from 'yaml'
import type { HttpTransportOptions } from './transport.ts'

/** The file's own field names (client-go tools/clientcmd/api/v1). */
export interface Kubeconfig {
  readonly apiVersion?: string
  readonly kind?: string
  readonly clusters: readonly { readonly name: string; readonly cluster: Cluster }[]
  readonly users: readonly { readonly name: string; readonly user: User }[]
  readonly contexts: readonly { readonly name: string; readonly context: Context }[]
  readonly 'current-context'?: string
}

export interface Cluster {
  readonly server: string
  readonly 'certificate-authority'?: string
  readonly 'certificate-authority-data'?: string
  readonly 'insecure-skip-tls-verify'?: boolean
  readonly 'tls-server-name'?: string
}

export interface User {
  readonly 'client-certificate'?: string
  readonly 'client-certificate-data'?: string
  readonly 'client-key'?: string
  readonly 'client-key-data'?: string
  readonly token?: string
  readonly tokenFile?: string
}

export interface Context {
  readonly cluster: string
  readonly user: string
  readonly namespace?: string
}

const MAX_KUBECONFIG_BYTES = 4 * 1024 * 1024

export function parseKubeconfig(text: string): Kubeconfig {
  if (text.length > MAX_KUBECONFIG_BYTES) throw new Error(`the kubeconfig exceeds ${MAX_KUBECONFIG_BYTES} bytes`)
  const config = parse(text) as Partial<Kubeconfig> | null
  if (!config || typeof config !== 'object' || (config.kind && config.kind !== 'Config'))
    throw new Error('not a kubeconfig: kind must be Config')
  return { ...config, clusters: config.clusters ?? [], users: config.users ?? [], contexts: config.contexts ?? [] }
}

export const formatKubeconfig = (config: Kubeconfig): string => stringify({ apiVersion: 'v1', kind: 'Config', ...config }, { lineWidth: 0 })

/** Replaces the file as a whole, so that no reader sees half of it. */
export function writeKubeconfig(path: string, config: Kubeconfig): void {
  const draft = `${path}.new`
  writeFileSync(draft, formatKubeconfig(config), { mode: 0o600 })
  renameSync(draft, path)
}

export interface KubeconfigConnection {
  readonly options: HttpTransportOptions
  readonly namespace: string
}

/** What a context says about how to connect; the current one when none is named. Relative paths start at `directory`. */
export function connectionOf(config: Kubeconfig, contextName = config['current-context'], directory = '.'): KubeconfigConnection {
  const find = <T extends { readonly name: string }>(what: string, entries: readonly T[], name: string | undefined): T => {
    const found = entries.find((entry) => entry.name === name)
    if (!found) throw new Error(`the kubeconfig has no ${what} "${name ?? ''}"`)
    return found
  }
  const { context } = find('context', config.contexts, contextName)
  const { cluster } = find('cluster', config.clusters, context.cluster)
  const { user } = find('user', config.users, context.user)
  const pem = (data: string | undefined, path: string | undefined): string | undefined => {
    if (data) return Buffer.from(data, 'base64').toString('utf8')
    return path ? readFileSync(resolve(directory, path), 'utf8') : undefined
  }
  const tokenPath = user.tokenFile
  return {
    namespace: context.namespace ?? 'default',
    options: {
      server: cluster.server,
      ca: pem(cluster['certificate-authority-data'], cluster['certificate-authority']),
      serverName: cluster['tls-server-name'],
      insecureSkipTlsVerify: cluster['insecure-skip-tls-verify'],
      cert: pem(user['client-certificate-data'], user['client-certificate']),
      key: pem(user['client-key-data'], user['client-key']),
      token: tokenPath ? () => readFileSync(resolve(directory, tokenPath), 'utf8').trim() : user.token,
    },
  }
}

/** Reads a file and the connection of one of its contexts. */
export function loadConnection(path: string, contextName?: string): KubeconfigConnection {
  const config = parseKubeconfig(readFileSync(path, 'utf8'))
  return connectionOf(config, contextName ?? config['current-context'], dirname(path))
}

/** How to connect as the current context of a kubeconfig's text says. */
export const optionsFromKubeconfig = (text: string): HttpTransportOptions => connectionOf(parseKubeconfig(text)).options

export interface SimpleKubeconfig {
  /** Names the cluster, the user and the context. */
  readonly name: string
  readonly server: string
  /** PEM. */
  readonly ca: string
  readonly cert?: string
  readonly key?: string
  /** A file with both in their place, which may change. */
  readonly pemFile?: string
  readonly token?: string
  readonly namespace?: string
}

/** A kubeconfig with a single context, everything inline. */
export function createKubeconfig({ name, server, ca, cert, key, pemFile, token, namespace }: SimpleKubeconfig): Kubeconfig {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server, 'certificate-authority-data': base64(ca) } }],
    users: [
      {
        name,
        user: {
          ...(cert ? { 'client-certificate-data': base64(cert) } : {}),
          ...(key ? { 'client-key-data': base64(key) } : {}),
          ...(pemFile ? { 'client-certificate': pemFile, 'client-key': pemFile } : {}),
          ...(token ? { token } : {}),
        },
      },
    ],
    contexts: [{ name, context: { cluster: name, user: name, ...(namespace ? { namespace } : {}) } }],
    'current-context': name,
  }
}
