/** Names of images: `[registry[:port]/]path[:tag][@digest]`, with Docker Hub and "latest" where nothing is said. */
export interface ImageName {
  /** "docker.io/library/nginx" */
  readonly repository: string
  readonly registry: string
  readonly tag: string | undefined
  readonly digest: string | undefined
}

const DOMAIN = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const TAG = /^\w[\w.-]{0,127}$/
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/
const MAX_NAME = 255

/** Undefined when it is no image name. */
export function parseImageName(image: string): ImageName | undefined {
  const at = image.indexOf('@')
  const digest = at < 0 ? undefined : image.slice(at + 1)
  const rest = at < 0 ? image : image.slice(0, at)
  const colon = rest.lastIndexOf(':')
  const hasTag = colon > rest.lastIndexOf('/')
  const tag = hasTag ? rest.slice(colon + 1) : undefined
  const name = hasTag ? rest.slice(0, colon) : rest
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  const isDomain = /[.:A-Z]/.test(first) || first === 'localhost'
  const registry = isDomain ? (first === 'index.docker.io' ? 'docker.io' : first) : 'docker.io'
  const path = isDomain ? name.slice(slash + 1) : name
  const full = registry === 'docker.io' && !path.includes('/') ? `library/${path}` : path
  if (!DOMAIN.test(registry) || full.length > MAX_NAME || !full.split('/').every((part) => COMPONENT.test(part))) return undefined
  if ((tag !== undefined && !TAG.test(tag)) || (digest !== undefined && !DIGEST.test(digest))) return undefined
  return { repository: `${registry}/${full}`, registry, tag: tag ?? (digest === undefined ? 'latest' : undefined), digest }
}

/** As the pod wrote it, with ":latest" where neither tag nor digest is given. */
export const withDefaultTag = (image: string, name: ImageName): string =>
  name.digest === undefined && name.tag !== undefined && !image.endsWith(`:${name.tag}`) ? `${image}:${name.tag}` : image
