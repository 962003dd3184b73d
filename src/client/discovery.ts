/**
 * Discovery: which resources a server serves. Reads the group list and then each group version, as every Kubernetes server
 * answers them. A group version that fails (an aggregated server that is down) is told of and does not hide the others.
 */
import { failure, isApiError } from '../api/status.ts'
import { apiVersionOf, parseApiVersion } from '../api/schema.ts'
import type { ResourceInfo, SubresourceInfo, Verb } from '../api/schema.ts'
import type { Discovery } from './client.ts'

/** Shapes of meta/v1 APIGroupList and APIResourceList, as far as they are read here. */
interface ApiGroups {
  readonly groups: readonly {
    readonly versions: readonly { readonly groupVersion: string }[]
    readonly preferredVersion?: { readonly groupVersion: string }
  }[]
}
interface ApiResource {
  readonly name: string
  readonly singularName?: string
  readonly kind: string
  readonly group?: string
  readonly version?: string
  readonly namespaced: boolean
  readonly verbs: readonly Verb[]
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
}
interface ApiResources {
  readonly resources: readonly ApiResource[]
}

/** Fetches one discovery document by path. */
export type FetchDocument = (path: string) => Promise<unknown>

export const discoveryPathOf = (apiVersion: string): string => (apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`)

export async function discoverAll(fetchDocument: FetchDocument): Promise<Discovery> {
  const { groups } = (await fetchDocument('/apis')) as ApiGroups
  const versions = ['v1', ...groups.flatMap((group) => group.versions.map((version) => version.groupVersion))]
  const preferredVersions = ['v1', ...groups.map((group) => group.preferredVersion?.groupVersion ?? group.versions[0]?.groupVersion)]
  const failures = new Map<string, string>()
  const answers = await Promise.all(
    versions.map(async (version) => {
      try {
        return await discoverGroupVersion(fetchDocument, version)
      } catch (error) {
        if (!isApiError(error)) throw error
        failures.set(version, error.message)
        return []
      }
    }),
  )
  const resources = answers.flat()
  return { resources, preferred: preferredOf(resources, preferredVersions), failures }
}

/** The preferred version of each group comes first; a resource that only an older version has is taken from there. */
function preferredOf(resources: readonly ResourceInfo[], preferredVersions: readonly (string | undefined)[]): readonly ResourceInfo[] {
  const chosen = new Map<string, ResourceInfo>()
  for (const wantPreferred of [true, false]) {
    for (const resource of resources) {
      const key = `${resource.group}/${resource.resource}`
      if (preferredVersions.includes(apiVersionOf(resource)) === wantPreferred && !chosen.has(key)) chosen.set(key, resource)
    }
  }
  return [...chosen.values()]
}

/** The resources of "v1" or "apps/v1", subresources folded into their resource. */
export async function discoverGroupVersion(fetchDocument: FetchDocument, apiVersion: string): Promise<readonly ResourceInfo[]> {
  const document = (await fetchDocument(discoveryPathOf(apiVersion))) as ApiResources
  if (!Array.isArray(document?.resources)) throw failure('InternalError', `discovery of ${apiVersion}: not a list of resources`)
  const gv = parseApiVersion(apiVersion)
  return document.resources
    .filter((entry) => !entry.name.includes('/'))
    .map((entry) => ({
      ...gv,
      kind: entry.kind,
      resource: entry.name,
      singular: entry.singularName ?? '',
      shortNames: entry.shortNames ?? [],
      categories: entry.categories ?? [],
      namespaced: entry.namespaced,
      verbs: entry.verbs,
      subresources: subresourcesOf(document.resources, entry.name, gv),
      type: undefined,
    }))
}

function subresourcesOf(
  entries: readonly ApiResource[],
  resource: string,
  gv: { group: string; version: string },
): readonly SubresourceInfo[] {
  const prefix = `${resource}/`
  return entries
    .filter((entry) => entry.name.startsWith(prefix))
    .map((entry) => ({
      name: entry.name.slice(prefix.length),
      verbs: entry.verbs,
      kind: { group: entry.group ?? gv.group, version: entry.version ?? gv.version, kind: entry.kind },
    }))
}
