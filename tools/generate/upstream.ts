/**
 * Where upstream's published facts come from: Go modules of one pinned release, read from the Go module cache. Only facts (names,
 * numbers, formats) leave these files; no prose and no code does.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The release that proa follows: the main module, and the modules published from its staging area. */
const RELEASE = { 'k8s.io/kubernetes': 'v1.36.3' } as const
const STAGING = 'v0.36.3'

/** The directory of a module in the module cache, downloaded when it is not there. */
export function moduleDirectory(module: string): string {
  const version = module in RELEASE ? RELEASE[module as keyof typeof RELEASE] : STAGING
  const scratch = mkdtempSync(join(tmpdir(), 'proa-generate-'))
  try {
    const output = execFileSync('go', ['mod', 'download', '-json', `${module}@${version}`], { cwd: scratch, encoding: 'utf8' })
    return (JSON.parse(output) as { Dir: string }).Dir
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

export interface GoPackage {
  /** As OpenAPI names it: "io.k8s.api.core.v1". */
  readonly openapi: string
  /** As protobuf names it: "k8s.io.api.core.v1"; absent where there is no generated.proto. */
  readonly proto: string | undefined
  readonly goFiles: readonly string[]
}

export interface Upstream {
  readonly openapi: ReadonlyMap<string, OpenApiDocument>
  readonly discovery: DiscoveryDocument
  readonly packages: readonly GoPackage[]
}

export interface OpenApiSchema {
  readonly $ref?: string
  readonly allOf?: readonly OpenApiSchema[]
  readonly type?: string
  readonly format?: string
  readonly items?: OpenApiSchema
  readonly additionalProperties?: OpenApiSchema
  readonly properties?: Readonly<Record<string, OpenApiSchema>>
  readonly required?: readonly string[]
  readonly enum?: readonly string[]
  readonly default?: unknown
  readonly 'x-kubernetes-group-version-kind'?: readonly { group: string; version: string; kind: string }[]
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map'
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly 'x-kubernetes-map-type'?: 'atomic' | 'granular'
  readonly 'x-kubernetes-patch-strategy'?: string
  readonly 'x-kubernetes-patch-merge-key'?: string
}

export interface OpenApiDocument {
  readonly components?: { readonly schemas?: Readonly<Record<string, OpenApiSchema>> }
}

export interface DiscoverySubresource {
  readonly subresource: string
  readonly responseKind: { readonly group: string; readonly version: string; readonly kind: string }
  readonly verbs: readonly string[]
}

export interface DiscoveryResource {
  readonly resource: string
  readonly singularResource: string
  readonly responseKind: { readonly group: string; readonly version: string; readonly kind: string }
  readonly scope: 'Namespaced' | 'Cluster'
  readonly verbs: readonly string[]
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
  readonly subresources?: readonly DiscoverySubresource[]
}

export interface DiscoveryDocument {
  readonly items: readonly {
    readonly metadata: { readonly name?: string }
    readonly versions: readonly { readonly version: string; readonly resources: readonly DiscoveryResource[] }[]
  }[]
}

function readPackage(directory: string, openapi: string): GoPackage {
  const files = readdirSync(directory)
  const goFiles = files
    .filter(
      (name) => name.endsWith('.go') && !name.endsWith('_test.go') && !name.startsWith('zz_generated') && !name.startsWith('generated'),
    )
    .map((name) => readFileSync(join(directory, name), 'utf8'))
  const proto = files.includes('generated.proto') ? readFileSync(join(directory, 'generated.proto'), 'utf8') : undefined
  return { openapi, proto, goFiles }
}

function readApiPackages(module: string, prefix: string, folder = ''): GoPackage[] {
  const root = join(moduleDirectory(module), folder)
  const versions = (group: string): string[] => readdirSync(join(root, group)).filter((name) => /^v\d+((alpha|beta)\d+)?$/.test(name))
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name: group }) =>
      versions(group).map((version) => readPackage(join(root, group, version), `${prefix}.${group}.${version}`)),
    )
}

/** An APIResourceList: subresources stand beside their resources as "pods/status". */
interface ResourceList {
  readonly resources: readonly {
    readonly name: string
    readonly singularName: string
    readonly namespaced: boolean
    readonly kind: string
    readonly group?: string
    readonly version?: string
    readonly verbs: readonly string[]
    readonly shortNames?: readonly string[]
    readonly categories?: readonly string[]
  }[]
}

/** The core group is published in the old form only; this gives it the new one. */
function nestSubresources({ resources }: ResourceList): DiscoveryResource[] {
  const kindOf = (entry: ResourceList['resources'][number]) => ({
    group: entry.group ?? '',
    version: entry.version ?? '',
    kind: entry.kind,
  })
  return resources
    .filter(({ name }) => !name.includes('/'))
    .map((entry) => ({
      resource: entry.name,
      singularResource: entry.singularName,
      responseKind: kindOf(entry),
      scope: entry.namespaced ? 'Namespaced' : 'Cluster',
      verbs: entry.verbs,
      ...(entry.shortNames ? { shortNames: entry.shortNames } : {}),
      ...(entry.categories ? { categories: entry.categories } : {}),
      subresources: resources
        .filter(({ name }) => name.startsWith(`${entry.name}/`))
        .map((sub) => ({ subresource: sub.name.slice(entry.name.length + 1), responseKind: kindOf(sub), verbs: sub.verbs })),
    }))
}

/** Reads everything that the generator uses. */
export function readUpstream(): Upstream {
  const kubernetes = moduleDirectory('k8s.io/kubernetes')
  const v3 = join(kubernetes, 'api/openapi-spec/v3')
  const openapi = new Map(
    readdirSync(v3)
      .filter((name) => name.endsWith('.json'))
      .map((name) => [name, JSON.parse(readFileSync(join(v3, name), 'utf8')) as OpenApiDocument]),
  )
  // The core group stands in a file of its own: /api beside /apis.
  const groups = JSON.parse(readFileSync(join(kubernetes, 'api/discovery/aggregated_v2.json'), 'utf8')) as DiscoveryDocument
  const core = JSON.parse(readFileSync(join(kubernetes, 'api/discovery/api__v1.json'), 'utf8')) as ResourceList
  return {
    openapi,
    discovery: { items: [{ metadata: {}, versions: [{ version: 'v1', resources: nestSubresources(core) }] }, ...groups.items] },
    packages: [
      ...readApiPackages('k8s.io/api', 'io.k8s.api'),
      ...readApiPackages('k8s.io/apimachinery', 'io.k8s.apimachinery.pkg.apis', 'pkg/apis'),
      ...readApiPackages('k8s.io/apiextensions-apiserver', 'io.k8s.apiextensions-apiserver.pkg.apis', 'pkg/apis'),
      ...readApiPackages('k8s.io/kube-aggregator', 'io.k8s.kube-aggregator.pkg.apis', 'pkg/apis'),
    ],
  }
}
