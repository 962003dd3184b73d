/** Registry credentials from the Secrets that a pod names (imagePullSecrets). Nothing of them is ever logged. */
import type { Secret } from '../api/generated/core/v1.ts'
import type { RegistryCredentials } from './container-runtime.ts'
import { decodeBase64 } from './environment.ts'

interface DockerAuth {
  readonly auth?: string
  readonly username?: string
  readonly password?: string
}

const decoder = new TextDecoder()

function authsOf(secret: Secret): Readonly<Record<string, DockerAuth>> {
  const modern = secret.data?.['.dockerconfigjson']
  const legacy = secret.data?.['.dockercfg']
  const text = modern ?? legacy
  if (text === undefined) return {}
  let parsed: unknown
  try {
    parsed = JSON.parse(decoder.decode(decodeBase64(text)))
  } catch {
    return {} // the API server checks secrets of these types; others are not credentials
  }
  const auths = modern === undefined ? parsed : (parsed as { auths?: unknown } | null)?.auths
  return auths !== null && typeof auths === 'object' ? (auths as Record<string, DockerAuth>) : {}
}

function credentialsOf({ auth, username, password }: DockerAuth): RegistryCredentials | undefined {
  if (username !== undefined && password !== undefined) return { username, password }
  if (!auth) return undefined
  const text = decoder.decode(decodeBase64(auth))
  const colon = text.indexOf(':')
  return colon < 0 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** "https://index.docker.io/v1/" and "docker.io" are one; a path narrows the credentials to repositories below it. */
function serverPath(server: string): string {
  const bare = server
    .replace(/^https?:\/\//, '')
    .replace(/\/v[12]\/?$/, '')
    .replace(/\/$/, '')
  return bare.replace(/^(?:index|registry-1)\.docker\.io/, 'docker.io')
}

/**
 * Whether a pattern ("*.example.com:5000/team", docs of CredentialProvider.matchImages) fits a repository: its domain part by part, where
 * "*" stands for any letters of one, the same port, and a path that the repository's begins with.
 */
export function matchesImage(pattern: string, repository: string): boolean {
  const [domain = '', ...path] = serverPath(pattern).split('/')
  const [host = '', ...rest] = repository.split('/')
  const [names = '', port] = domain.split(':')
  const [actual = '', actualPort] = host.split(':')
  const [wanted, found] = [names.split('.'), actual.split('.')]
  if (port !== actualPort || wanted.length !== found.length) return false
  const fits = wanted.every((part, at) => new RegExp(`^${part.split('*').map(RegExp.escape).join('.*')}$`).test(found[at]!))
  return fits && path.every((part, at) => part === '' || rest[at] === part)
}

/** Those that fit the repository, the longest path first. */
export function credentialsFor(repository: string, secrets: readonly Secret[]): readonly RegistryCredentials[] {
  const found: { path: string; credentials: RegistryCredentials }[] = []
  for (const secret of secrets) {
    for (const [server, auth] of Object.entries(authsOf(secret))) {
      const path = serverPath(server)
      const credentials = credentialsOf(auth)
      if (credentials && matchesImage(path, repository)) found.push({ path, credentials })
    }
  }
  return found.toSorted((a, b) => b.path.length - a.path.length).map(({ credentials }) => credentials)
}
